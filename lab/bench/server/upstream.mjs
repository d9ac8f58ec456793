// The provider of the SDK's load, in a process of its own.
import { replayUpstream } from 'sse-relay/testing'
import { openaiBody } from './sources.mjs'

process.on('message', async ({ id, tokens, everyMs }) => {
  try {
    const upstream = await replayUpstream({ body: openaiBody(tokens), pauseMs: everyMs })
    process.send({ id, answer: { url: upstream.url } })
  } catch (error) {
    process.send({ id, failure: error.stack })
  }
})
process.on('disconnect', () => process.exit())
