// The provider: answers each prompt with its run's tokens, and counts how often it was asked.
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

const chunk = (delta, finish_reason = null) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-0', object: 'chat.completion.chunk', created: 0, model: 'any', choices: [{ index: 0, delta, finish_reason }] })}\n\n`

/** Answers the prompts of `runs`, by prompt, and writes into each what became of it. */
export async function startUpstream(runs) {
  const server = createServer(async (req, res) => {
    const { messages } = await json(req)
    const run = runs.get(messages[0].content)
    run.asked++
    run.askedAt = performance.now()
    run.open++
    res.on('close', () => {
      run.open--
      run.closedAt = performance.now()
      run.changed()
    })
    res.on('error', () => {})
    run.changed()
    const { tokens, firstMs, pauseMs } = run.plan
    await sleep(firstMs)
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const [n, content] of tokens.entries()) {
      if (pauseMs(n) > 0) await sleep(pauseMs(n))
      if (res.destroyed) return
      res.write(chunk({ content }))
      run.sent = n + 1
      run.changed()
    }
    run.finishedAt = performance.now()
    run.changed()
    res.end(`${chunk({}, 'stop')}data: [DONE]\n\n`)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
