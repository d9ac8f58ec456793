import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createMemoryLog } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import { parts } from 'sse-relay/protocols'
import { replayUpstream } from 'sse-relay/testing'
import { describe, expect, it, vi } from 'vitest'
import { certificate } from '../../hosts/certificate.js'
import { DONE, FRAMES, HEADERS, scripted, serve } from './broken.js'
import { CLI, run, start, withoutProgress } from './cli.js'

vi.setConfig({ testTimeout: 60_000 })

const TEXT = Array.from({ length: 12 }, (_, index) => `piece ${index} `).join('')
const AT = '^ +\\d+\\.\\d{3} s  '
const line = (rest: string) => new RegExp(`${AT}${rest}$`, 'm')

describe('tail', () => {
  it('shows when each event came, its name, its id and what it says', async () => {
    const frames = [
      FRAMES[0] as string,
      'event: status\nid: a:1\ndata: {"step":"searching"}\n\n',
      ': \n',
      'data: plain\ndata: text\n\n',
      'data: {"type":"tool-call","index":0,"name":"weather","input":"{}"}\n\n',
      DONE,
    ]
    await using served = await serve(scripted({ frames, pauseMs: 10 }))
    const { status, stdout, stderr } = await run(['tail', served.url])
    expect({ status, stderr: withoutProgress(stderr) }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(line('200 text/event-stream; charset=utf-8'))
    expect(stdout).toMatch(line('text "piece 0 "'))
    expect(stdout).toMatch(line('status {2}id a:1 {2}\\{"step":"searching"\\}'))
    expect(stdout).toMatch(/ s {2}plain\n {12}text$/m)
    expect(stdout).toMatch(line('tool-call \\{"index":0,"name":"weather","input":"\\{\\}"\\}'))
    expect(stdout).toMatch(line('\\[DONE\\]'))
    expect(stdout).toMatch(line('complete'))
    expect(stdout).not.toContain('comment')
    expect(stdout).not.toContain('\u001b')
    expect((await run(['tail', served.url, '--comments'])).stdout).toMatch(line('comment {2}'))
  })

  it('gives the text alone, byte for byte, and the rest on stderr', async () => {
    const frames = ['data: {"text":"Zeile 1\\n日本語 \\u001b"}\n\n', 'event: status\ndata: {"text":"no"}\n\n', DONE]
    await using served = await serve(scripted({ frames, pauseMs: 10 }))
    const { stderr, ...ended } = await run(['tail', served.url, '--text'])
    expect(ended).toMatchObject({ status: 0, stdout: 'Zeile 1\n日本語 \u001b' })
    expect(withoutProgress(stderr)).toBe('complete\n')
  })

  it.each(['/v1/messages', '/v1/chat/completions', '/v1/responses'])(
    'reads the text of a provider’s %s',
    async (path) => {
      await using upstream = await replayUpstream()
      const { status, stdout } = await run(['tail', upstream.url + path, '-t', '-d', '{"stream":true}'])
      expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining('Hello there') })
    },
  )

  it('reads the parts of a relay', async () => {
    await using served = await serve((req, res) => relay(req, res, ['a', 'b'], { protocol: parts() }))
    const { stdout } = await run(['tail', served.url, '-d', '{}'])
    expect(stdout).toMatch(line('text "a"'))
  })

  it('ends with 1 for what is not complete, and with 2 where nobody answers', async () => {
    await using cut = await serve(scripted({ frames: FRAMES, pauseMs: 10 }))
    const failure = 'event: error\ndata: {"error":{"code":"overload","message":"Busy.","retryable":true}}\n\n'
    await using failed = await serve(scripted({ frames: [...FRAMES, failure], pauseMs: 10 }))
    await using refused = await serve(scripted({ status: 503, headers: {}, frames: ['Down.'] }))
    const gone = await serve(() => {})
    await gone[Symbol.asyncDispose]()
    const results = await Promise.all(
      [cut, failed, refused, gone].map(({ url }) => run(['tail', url, '-t', '-d', '{}'])),
    )
    expect(results.map(({ status }) => status)).toEqual([1, 1, 1, 2])
    // A busy machine shows its progress as well.
    const [ofCut, ofFailed, ofRefused, ofGone] = results.map(({ stderr }) => stderr.replace(/^.*: waiting .*\n/gm, ''))
    expect(results[0]?.stdout).toBe(TEXT)
    expect(ofCut).toMatch(/^truncated: /)
    expect(ofFailed).toBe('overload: Busy.\n')
    expect(ofRefused).toBe('http-status: The server answered with status 503\nDown.\n')
    expect(ofGone).toMatch(/^network: .*ECONNREFUSED/)
  })

  it('says in one line what a page of HTML says, and in words why nobody answered', async () => {
    const page = `<!doctype html><title>Please log in</title><p>${'x'.repeat(3000)}`
    await using refusing = await serve(
      scripted({ status: 401, headers: { 'content-type': 'text/html' }, frames: [page] }),
    )
    const [refused, plain] = await Promise.all([
      run(['tail', refusing.url]),
      run(['tail', refusing.url.replace('http:', 'https:')]),
    ])
    expect(withoutProgress(refused?.stderr ?? '')).toBe(
      'http-status: The server answered with status 401\nPlease log in\n',
    )
    expect(plain?.stderr).toContain('it does not speak TLS there; is it http: rather than https:?')
  })

  it('says that nothing comes where fetch never does: a connection closed at once, bytes that are no gzip', async () => {
    await using closing = await serve(() => {})
    closing.server.on('connection', (socket) => socket.destroy())
    const headers = { ...HEADERS, 'content-encoding': 'gzip', connection: 'close' }
    await using coded = await serve(scripted({ headers, frames: [DONE], pauseMs: 0 }))
    const [closed, garbled] = await Promise.all([run(['tail', closing.url]), run(['tail', coded.url])])
    expect(closed).toMatchObject({ status: 2, stderr: expect.stringMatching(/^network: /m) })
    expect(garbled).toMatchObject({ status: 1, stderr: expect.stringMatching(/^network: /m) })
  })

  it('takes a certificate that nobody has signed where it is told to, and says so where not', async ({ skip }) => {
    if (!certificate) return skip()
    const server = createServer({ key: certificate, cert: certificate }, scripted({}))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const [refused, taken] = await Promise.all([run(['tail', url]), run(['tail', '-k', url])])
    server.close()
    expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining('-k takes it all the same') })
    expect(taken).toMatchObject({ status: 0, stdout: expect.stringMatching(line('complete')) })
  })

  it('ends, in little memory, at an event that does not', async () => {
    await using served = await serve((_req, res) => {
      const more = () => {
        while (!res.destroyed && res.write('x'.repeat(65_536)));
      }
      res.writeHead(200, HEADERS).write('data: ')
      res.on('drain', more)
      more()
    })
    const env = { NODE_OPTIONS: '--max-old-space-size=160' }
    const { status, stderr } = await start(['tail', served.url], { env }).ended
    expect(status).toBe(1)
    expect(stderr).toMatch(/^event-too-large: /m)
  })

  it('takes the end of a stream without a sentinel for complete where that is said', async () => {
    await using served = await serve(scripted({ frames: FRAMES, pauseMs: 10 }))
    expect(await run(['tail', served.url, '-t', '--no-sentinel'])).toMatchObject({ status: 0, stdout: TEXT })
  })

  it('resumes a lost connection where the events have ids, and says so', async () => {
    const frames = FRAMES.map((frame, index) => `id: run:${index + 1}\n${frame}`)
    const asked: (string | undefined)[] = []
    await using served = await serve((req, res) => {
      req.resume()
      const id = req.headers['last-event-id'] as string | undefined
      asked.push(`${req.method} ${id}`)
      res.writeHead(200, HEADERS)
      const from = Number(id?.split(':')[1] ?? 0)
      if (from > 0) res.end(frames.slice(from).join('') + DONE)
      else res.write(`retry: 10\n${frames.slice(0, 5).join('')}`, () => setTimeout(() => res.destroy(), 50))
    })
    const { status, stdout } = await run(['tail', served.url, '-d', '{}'])
    expect(status).toBe(0)
    expect(asked).toEqual(['POST undefined', 'GET run:5'])
    expect(stdout).toMatch(line('the connection was lost; resumed after id run:5'))
    expect(stdout.match(/text "piece/g)?.length).toBe(12)
  })

  it('follows a run of a relay with a log over as many connections as it takes', async () => {
    const log = createMemoryLog()
    const asked: string[] = []
    await using served = await serve((req, res) => {
      asked.push(req.method ?? '')
      if (req.method === 'GET') return void resume(req, res, { log, owner: null })
      async function* source() {
        for (let index = 0; index < 12; index++) {
          yield `piece ${index} `
          await wait(100)
        }
      }
      relay(req, res, source, { log, owner: null, maxDurationMs: 500, retryMs: 20 })
    })
    const { stderr, ...ended } = await run(['tail', served.url, '-t', '-d', '{}'])
    expect({ ...ended, stderr: withoutProgress(stderr) }).toMatchObject({
      status: 0,
      stdout: TEXT,
      stderr: expect.stringMatching(/^the connection was lost; resumed after id \S+:\d+\n[\s\S]*complete\n$/),
    })
    expect(asked.slice(0, 2)).toEqual(['POST', 'GET'])
  })

  it('saves the stream as it came, for replayUpstream', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tail-'))
    const path = join(folder, 'answer.sse')
    try {
      await using served = await serve(scripted({ frames: [...FRAMES, DONE], pauseMs: 5 }))
      const saved = await run(['tail', served.url, '--save', path, '-H', 'authorization: sk-secret', '-d', '{"a":1}'])
      expect(saved).toMatchObject({ status: 0, stdout: expect.stringContaining(`saved to ${path}`) })
      expect(await readFile(path, 'utf8')).toBe([...FRAMES, DONE].join(''))
      const beside = await readFile(`${path}.json`, 'utf8')
      expect(JSON.parse(beside)).toMatchObject({ status: 200, end: 'end' })
      expect(beside).not.toContain('sk-secret')
      await using upstream = await replayUpstream({ trace: path, pauseMs: 'recorded' })
      expect(await run(['tail', upstream.url, '-t'])).toMatchObject({ status: 0, stdout: TEXT })

      await using cut = await serve(scripted({ frames: FRAMES, end: 'destroy', pauseMs: 5 }))
      await run(['tail', cut.url, '--save', path, '-d', '{}'])
      expect(JSON.parse(await readFile(`${path}.json`, 'utf8'))).toMatchObject({ end: 'reset' })
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('leaves on Ctrl-C, which the server sees, with 130', async () => {
    let onLeft = () => {}
    const left = new Promise<void>((resolve) => {
      onLeft = resolve
    })
    await using served = await serve((req, res) => {
      res.on('close', onLeft)
      scripted({ frames: FRAMES, end: 'never', pauseMs: 10 })(req, res)
    })
    const running = start(['tail', served.url, '-t'])
    await running.printed(/piece 11/)
    running.child.kill('SIGINT')
    await left
    const { stderr, ...ended } = await running.ended
    expect({ ...ended, stderr: withoutProgress(stderr) }).toMatchObject({ status: 130, stdout: TEXT, stderr: '' })
  })

  it.each([['--text'], ['--comments']])(
    'with %s slows the stream down while nobody reads its output',
    async (option) => {
      // 22 MB, several times what the buffers between hold.
      const COUNT = 20_000
      let asked = 0
      function* many() {
        while (asked++ < COUNT) yield `: ${'c'.repeat(100)}\n\ndata: {"text":"${'x'.repeat(1000)}"}\n\n`
        yield DONE
      }
      await using served = await serve((_req, res) => void Readable.from(many()).pipe(res.writeHead(200, HEADERS)))
      const child = spawn(process.execPath, [CLI, 'tail', served.url, option])
      const ended = once(child, 'close')
      // It reads as much as the buffers between hold, and then no more. A busy machine may look so as well, which is no harm.
      let before: number
      do {
        before = asked
        await wait(300)
      } while (asked === 0 || asked > before)
      expect(asked).toBeLessThan(COUNT / 2)
      let size = 0
      child.stdout.on('data', (bytes) => {
        size += bytes.length
      })
      expect(await ended).toEqual([0, null])
      if (option === '--text') expect(size).toBe(COUNT * 1000)
      else expect(size).toBeGreaterThan(COUNT * 1000)
    },
  )

  it('is quiet when its reader has seen enough', async () => {
    function* endless() {
      for (;;) yield `data: {"text":"${'x'.repeat(1000)}\\n"}\n\n`
    }
    await using served = await serve((_req, res) => void Readable.from(endless()).pipe(res.writeHead(200, HEADERS)))
    const command = `'${process.execPath}' '${CLI}' tail ${served.url} --text | head -n 3`
    const { stdout, stderr } = await promisify(execFile)('bash', ['-o', 'pipefail', '-c', command])
    expect({ lines: stdout.split('\n').length, stderr: withoutProgress(stderr) }).toEqual({ lines: 4, stderr: '' })
  })
})
