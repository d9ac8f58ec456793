import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, vi } from 'vitest'
import { duration, painter, printable } from '../../../src/cli/terminal.js'
import { DONE, FRAMES, HEADERS, scripted, serve } from './broken.js'
import { CLI, run, say, start, withoutProgress } from './cli.js'

vi.setConfig({ testTimeout: 60_000 })

/**
 * An answer of so few events that they look like nothing else where a busy machine brings them at once: more would be
 * taken for what something gathered. With pauses in which its pieces are still seen to come apart.
 */
const FEW = FRAMES.slice(0, 7)
const APART = { frames: [...FEW, DONE], pauseMs: 200 }

/** A disk without room. */
const FULL = '/dev/full'

/** Gives a program a terminal. */
const SCRIPT = '/usr/bin/script'

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))

describe('sse-relay', () => {
  it.each([['doctor'], ['tail'], ['demo']])(
    'explains %s, with its options, an example and what its end means',
    async (name) => {
      const { status, stdout, stderr } = await say([name, '--help'])
      expect(stderr).not.toContain('Error')
      expect(status).toBe(0)
      expect(stdout).toMatch(new RegExp(`^sse-relay ${name} `))
      expect(stdout).toContain('-h, --help')
      expect(stdout.match(new RegExp(`^  sse-relay ${name} `, 'gm'))?.length).toBeGreaterThan(0)
      expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThan(130)
      expect((await say(['help', name])).stdout).toBe(stdout)
    },
  )

  it('says which commands there are, and its version', async () => {
    const [help, bare, told] = await Promise.all([run(['--help']), run([]), run(['--version'])])
    expect(help).toMatchObject({ status: 0, stderr: '' })
    for (const name of ['doctor', 'tail', 'demo']) expect(help.stdout).toMatch(new RegExp(`^  sse-relay ${name} `, 'm'))
    expect(bare).toMatchObject({ status: 2, stdout: help.stdout })
    expect(told).toMatchObject({ status: 0, stdout: `${version}\n` })
  })

  it.each([
    [['docter'], 'There is no command "docter"; did you mean doctor?'],
    [['serve'], 'There is no command "serve": doctor, tail, demo'],
    [['--verson'], 'There is no option --verson before the command; did you mean --version?'],
    [['doctor', 'localhost:1', '--orgin', 'x'], 'There is no option --orgin; did you mean --origin?'],
    [['doctor', 'localhost:1', '--json=yes'], '--json takes no value'],
    [['doctor', 'localhost:1', '-d'], '-d needs a value: -d BODY'],
    [['doctor', 'localhost:1', '-X', '--json'], '-X needs a value: -X METHOD'],
    [['doctor'], 'The address is missing'],
    [['doctor', 'a', 'b'], 'One address at a time, and not also "b"'],
    [['doctor', 'ftp://a'], '"ftp://a" is not asked over HTTP'],
    [['doctor', 'localhost:1', '-H', 'nothing'], '"nothing" is no header: write \'name: value\''],
    [
      ['doctor', 'localhost:1', '-H', 'x-name: 日本'],
      '"x-name: 日本" cannot be sent: a header has the characters up to U+00FF',
    ],
    [['tail', 'localhost:1', '-d', '{}', '-H', 'Content-Length: 5'], 'it follows from the connection and the body'],
    [['doctor', 'localhost:1', '-X', 'GET', '-d', '{}'], 'A GET has no body'],
    [['tail', 'localhost:1', '-X', 'trace'], '"trace" is no method that a stream answers: write GET or POST'],
    [['tail', '/api/chat'], '"/api/chat" is no address: write https://your.app/api/chat'],
    [['tail', 'unix:/var/run/app.sock'], '"unix:/var/run/app.sock" is not asked over HTTP'],
    [['tail', 'localhost:1', '--save', '/does/not/exist'], 'The stream cannot be saved to /does/not/exist: ENOENT'],
    [['tail', 'localhost:1', '--save', tmpdir()], `The stream cannot be saved to ${tmpdir()}: it is a folder`],
    [['doctor', 'localhost:1', '--origin', ''], '--origin cannot be "": write https://your.app'],
    [['doctor', 'localhost:1', '-d', '@/does/not/exist'], 'The body cannot be read from /does/not/exist'],
    [['doctor', 'localhost:1', '--wait', 'soon'], '--wait cannot be "soon"'],
    [['doctor', 'localhost:1', '--origin', 'your.app'], '--origin cannot be "your.app"'],
    [['tail', 'localhost:1', '--sentinel', 'x', '--no-sentinel'], 'contradict each other'],
    [['demo', '--port', '70000'], 'The port cannot be "70000"'],
    [['demo', 'now'], 'demo takes no "now"'],
  ])('refuses %j with the remedy', async (args, message) => {
    const { status, stdout, stderr } = await say(args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(message)
    const [name = ''] = args
    const about = ['doctor', 'tail', 'demo'].includes(name) ? `${name} ` : ''
    expect(stderr.endsWith(`\nsee: sse-relay ${about}--help\n`)).toBe(true)
    expect(stderr).not.toContain('    at ')
  })
})

describe('an output that nobody reads', () => {
  /** Runs the command with one of its outputs closed from the beginning. */
  async function runWithout(output: 'stdout' | 'stderr', args: string[]) {
    const { child, ended } = start(args)
    child[output]?.destroy()
    return ended
  }

  it.each([['--help'], ['doctor', '--help'], ['tail', '--help']])('ends %s %s without a word', async (...args) => {
    expect(await runWithout('stdout', args)).toMatchObject({ status: 0, stderr: '' })
  })

  it('leaves the findings of doctor in its status', async () => {
    await using refusing = await serve((_req, res) => void res.writeHead(401).end())
    const { status, stderr } = await runWithout('stdout', ['doctor', refusing.url])
    expect({ status, stderr: withoutProgress(stderr) }).toEqual({ status: 1, stderr: '' })
  })

  it.each(['doctor', 'tail'])('does not end %s, whose progress it is, in the middle', async (command) => {
    await using served = await serve(scripted({ frames: [FRAMES[0] as string, DONE], pauseMs: 1500 }))
    const { stdout } = await runWithout('stderr', [command, served.url])
    expect(stdout).toMatch(/complete|note Too short to tell|0 faults/)
  })
})

it.skipIf(!existsSync(FULL)).each(['doctor', 'tail'])(
  '%s says in a line that its output cannot be written',
  async (command) => {
    await using served = await serve(scripted({ pauseMs: 10 }))
    const shell = `'${process.execPath}' '${CLI}' ${command} ${served.url} > ${FULL}`
    const error = await promisify(execFile)('sh', ['-c', shell]).catch((error) => error)
    expect(error).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^The output cannot be written: ENOSPC.*\n$/),
    })
  },
)

describe('doctor', () => {
  it('prints plain text for a pipe, and ends with 0 where nothing is wrong', async () => {
    await using served = await serve(scripted(APART))
    const { status, stdout, stderr } = await run(['doctor', served.url, '-d', '{}'])
    expect(stdout).toMatch(/^POST http:\/\/127\.0\.0\.1:\d+\/\nHTTP\/1\.1 200 {2}text\/event-stream; charset=utf-8\n/)
    expect(stdout).toMatch(/^ +\d+ ms │█+ \d+ B, \d+ events?$/m)
    expect(stdout.trimEnd()).toMatch(/Nothing is wrong with this stream\.$/)
    expect(stdout).not.toContain('\u001b')
    expect(status).toBe(0)
    // What takes longer than a second is announced, once where it cannot be updated.
    expect(stderr).toMatch(/^POST http:\/\/127\.0\.0\.1:\d+\/: .*, \d+\.\d s\n$/)
  })

  it('names each fault with its reason and remedy, and ends with 1', async () => {
    const frames = [...FEW, 'data: a\nb\n\n', 'retry: x\n\n']
    await using served = await serve(scripted({ frames, pauseMs: 10 }))
    const { status, stdout } = await run(['doctor', served.url, '-d', '{}'])
    expect(stdout).toMatch(
      /^fault malformed: line 16, byte \d+: no field.* \(and 1 more\)\n {4}line 16.*\n {4}line 18.*\n {2}why .*\n {2}fix .*\n/m,
    )
    expect(stdout).toMatch(/^fault sentinel-missing: /m)
    expect(stdout).toContain('2 faults, 0 warnings')
    expect(status).toBe(1)
  })

  it('tells a refusal without a chart of its bytes', async () => {
    await using served = await serve((_req, res) => void res.writeHead(401).end('no token'))
    const { status, stdout } = await run(['doctor', served.url, '-d', '{}'])
    expect(stdout).toMatch(/^HTTP\/1\.1 401 .*\nconnected in .*\n\nfault http-status: status 401: no token$/m)
    expect(stdout).not.toContain('when the bytes came')
    expect(status).toBe(1)
  })

  it('lets warnings pass, unless it is strict', async () => {
    await using served = await serve(scripted({ ...APART, headers: { 'content-type': 'text/event-stream' } }))
    const [lenient, strict] = await Promise.all(
      [[], ['--strict']].map((more) => run(['doctor', served.url, '-d', '{}', ...more])),
    )
    expect(lenient?.stdout).toMatch(/^warning no-transform: cache-control is missing$/m)
    expect([lenient?.status, strict?.status]).toEqual([0, 1])
  })

  it('gives it all as JSON, without what was sent', async () => {
    await using served = await serve(scripted({ frames: FEW, pauseMs: 10 }))
    const { status, stdout } = await run([
      'doctor',
      served.url,
      '--json',
      '-d',
      '{}',
      '-H',
      'authorization: Bearer secret',
    ])
    const told = JSON.parse(stdout)
    expect(status).toBe(1)
    expect(told).toMatchObject({ good: false, method: 'POST', status: 200, ending: 'complete', events: 7 })
    expect(told.findings).toEqual([
      {
        code: 'sentinel-missing',
        severity: 'fault',
        what: expect.any(String),
        why: expect.any(String),
        fix: expect.any(String),
      },
    ])
    expect(told.arrivals.reduce((sum: number, { events }: { events: number }) => sum + events, 0)).toBe(7)
    expect(stdout).not.toContain('secret')
  })

  it('ends with 2 where it could not look, and says why', async () => {
    const gone = await serve(scripted({}))
    await gone[Symbol.asyncDispose]()
    await using closing = await serve((req) => req.socket.destroy())
    await using silent = await serve(() => {})
    await using switching = await serve((req) => {
      req.socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n')
    })
    const [refused, closed, late, plain, switched] = await Promise.all([
      run(['doctor', gone.url]),
      run(['doctor', closing.url]),
      run(['doctor', silent.url, '--wait', '1', '--json']),
      run(['doctor', silent.url.replace('http:', 'https:')]),
      run(['doctor', switching.url]),
    ])
    expect(refused).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('nothing listens there (ECONNREFUSED)'),
    })
    expect(closed).toMatchObject({ status: 2, stderr: expect.stringContaining('closed before an answer came') })
    expect(late?.status).toBe(2)
    expect(JSON.parse(late?.stdout ?? '')).toMatchObject({
      good: false,
      error: expect.stringContaining('no answer within 1 s'),
    })
    expect(plain).toMatchObject({ status: 2, stderr: expect.stringContaining('does not speak TLS') })
    expect(switched).toMatchObject({ status: 2, stderr: expect.stringContaining('closed before an answer came') })
  })

  it('ends with 2 where it could not tell whether something buffers, and does not say that nothing is wrong', async () => {
    await using served = await serve(scripted({ frames: [FRAMES.join('') + DONE], pauseMs: 300 }))
    const { status, stdout } = await run(['doctor', served.url, '-d', '{}'])
    expect(stdout).toMatch(
      /^note 13 of 13 events came at once, after \d+ ms of nothing: .* ask for a longer answer\.$|^note Too short to tell/m,
    )
    expect(stdout).toMatch(/^Whether something buffers could not be told\.$/m)
    expect(stdout).not.toContain('Nothing is wrong')
    expect(status).toBe(2)
  })

  it.each(['http://a%zz:b@127.0.0.1:PORT/', 'http://%:%@127.0.0.1:PORT/%zz?%zz#%zz', 'http://ä:ü@127.0.0.1:PORT/'])(
    'takes an address as it is: %s',
    async (address) => {
      await using served = await serve(scripted(APART))
      const { status, stderr } = await run(['doctor', address.replace('PORT', String(served.port)), '-d', '{}'])
      expect({ status, stderr: withoutProgress(stderr) }).toEqual({ status: 0, stderr: '' })
    },
  )

  it.each(['http://', 'http://[::1', 'http://host:99999/', '://x', 'ftp://host/', 'http://a b/', '%', ''])(
    'says of %j that it is no address',
    async (address) => {
      const { status, stderr } = await say(['doctor', address])
      expect(status).toBe(2)
      expect(stderr).toMatch(/is no address|is not asked over HTTP/)
    },
  )

  it('needs little memory for a bomb, and says that there was more', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 'data: {"text":"x"}\n\n'))
    await using served = await serve((_req, res) => {
      res.writeHead(200, { ...HEADERS, 'content-encoding': 'gzip' }).write(bomb)
    })
    const env = { NODE_OPTIONS: '--max-old-space-size=160' }
    const { status, stdout, stderr } = await run(['doctor', served.url, '-d', '{}'], { env })
    expect(stdout).toMatch(/^note Left after 100000 events and heartbeats, with the stream still open/m)
    expect([0, 2]).toContain(status)
    expect(stderr).not.toContain('heap')
  })

  it('reads the body from a file and from the standard input', async () => {
    const bodies: string[] = []
    await using served = await serve(async (req, res) => {
      let body = ''
      for await (const piece of req) body += piece
      bodies.push(`${req.headers['content-type']} ${body}`)
      res.writeHead(200, HEADERS).end(DONE)
    })
    const folder = mkdtempSync(join(tmpdir(), 'sse-relay-body-'))
    writeFileSync(join(folder, 'question.json'), '{"a":1}')
    await run(['doctor', served.url, '-d', `@${join(folder, 'question.json')}`])
    await run(['doctor', served.url, '-d', '@-', '-H', 'Content-Type: text/plain'], { input: 'hello' })
    rmSync(folder, { recursive: true })
    expect(bodies).toEqual(['application/json {"a":1}', 'text/plain hello'])
  })

  it('leaves with 130 when it is interrupted', async () => {
    await using served = await serve(scripted({ end: 'never', frames: FRAMES }))
    const running = start(['doctor', served.url])
    await running.printed(/events/)
    running.child.kill('SIGINT')
    expect(await running.ended).toMatchObject({ status: 130, stdout: '' })
  })

  it('shows nothing that a terminal would obey', async () => {
    await using served = await serve(
      scripted({ frames: ['data: a\n\u001b[2Jevil\u009b\u202e\n\n', ...FRAMES, DONE], pauseMs: 10 }),
    )
    const { stdout } = await run(['doctor', served.url, '-d', '{}'])
    expect(stdout).toContain('\\u001b[2Jevil')
    expect([...'\u001b\u009b\u202e'].filter((character) => stdout.includes(character))).toEqual([])
  })
})

describe('a terminal', () => {
  it('gets colours, and no other stream, and none where NO_COLOR says so', () => {
    expect(painter({ isTTY: true }, {}).red('x')).toBe('\u001b[31mx\u001b[0m')
    expect(painter({ isTTY: false }, {}).red('x')).toBe('x')
    expect(painter({ isTTY: true }, { NO_COLOR: '1' }).red('x')).toBe('x')
    expect(painter({ isTTY: true }, { TERM: 'dumb' }).red('x')).toBe('x')
  })

  it('is told a second as one, and not as a thousand milliseconds', () => {
    expect([999.4, 999.5, 1000].map(duration)).toEqual(['999 ms', '1.0 s', '1.0 s'])
  })

  it('keeps the letters of every language, and line breaks', () => {
    expect(printable('日本語 می‌خواهم 👩‍💻\n\té')).toBe('日本語 می‌خواهم 👩‍💻\n\té')
  })

  it.skipIf(!existsSync(SCRIPT) && !process.env.CI)('shows progress in a line that changes and goes away', async () => {
    await using served = await serve(scripted(APART))
    const command = `'${process.execPath}' '${CLI}' doctor ${served.url} -d '{}'`
    const env = { ...process.env, TERM: 'xterm', NO_COLOR: '' }
    const { stdout } = await promisify(execFile)(SCRIPT, ['-qec', command, '/dev/null'], { env })
    const [before, ...states] = stdout.split('\r\u001b[K')
    expect(before).toBe('')
    expect(states[0]).toMatch(/^POST .* \d+ events, \d+ bytes, \d+\.\d s$/)
    expect(states.at(-1)).toMatch(/POST/)
    expect(stdout).toContain('\u001b[32mNothing is wrong with this stream.')
  })

  it.skipIf(!existsSync(SCRIPT) && !process.env.CI)('shows progress in one row, however narrow it is', async () => {
    await using served = await serve(scripted({ pauseMs: 200 }))
    const command = `stty cols 24; '${process.execPath}' '${CLI}' doctor ${served.url} -d '{}'`
    const { stdout } = await promisify(execFile)(SCRIPT, ['-qec', command, '/dev/null'])
    const [, ...states] = stdout.split('\r\u001b[K')
    expect(states[0]).toBe(`POST ${served.url}: `.slice(0, 23))
  })
})
