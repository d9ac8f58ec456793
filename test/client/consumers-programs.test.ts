// Whether browsers, curl and a client in Go hear the whole answer, and do not have it run again.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { parseSSE } from 'sse-relay/client'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { cleanups, ENDS, expectHeard, expectOneRun, files, gates, report, seenBy, url } from './answering.js'
import type { Heard } from './browsers/consumers.js'
import { browsers, bundle, isSkipped, titleOf } from './browsers/engines.js'

// Browsers take their time to start, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

interface Reported {
  error?: string
  eventSource?: Record<string, Heard[]>
  fetchEventSource?: Record<string, Heard[]>
}

describe.each(browsers.map((engine) => [titleOf(engine), engine] as const))('a page in %s', (_, engine) => {
  const place = engine.name.toLowerCase()
  let told: Reported
  beforeAll(async () => {
    if (isSkipped(engine)) return
    files.set(`/${place}.js`, {
      type: 'text/javascript',
      content: `globalThis.PLACE = '${place}';${await bundle('./consumers-entry.ts')}`,
    })
    files.set(`/${place}`, {
      type: 'text/html',
      content: `<!doctype html><meta charset="utf-8"><script src="/${place}.js"></script>`,
    })
    const opened = await engine.open(`${url}/${place}`)
    try {
      told = JSON.parse(await Promise.race([report(place).promise, opened.ended]))
    } finally {
      await opened.close()
    }
  })

  describe.skipIf(isSkipped(engine)).each(ENDS)('and an answer that ends with %s', (end) => {
    it('is heard whole by EventSource, and its source does not run again', () => {
      expect(told.error).toBeUndefined()
      expectHeard(told.eventSource?.[end] ?? [], end)
      expectOneRun(`${place}-event-source-${end}`)
    })

    it('is heard whole by @microsoft/fetch-event-source', () => {
      // It makes an empty message of each blank line, those of heartbeats too (Azure/fetch-event-source#15).
      const messages = (told.fetchEventSource?.[end] ?? []).filter(({ data }) => data !== '')
      // Its ids are those of each message, and the default type has no name.
      const heard = messages.map(({ event, data, id }) => ({ event: event || 'message', data, id }))
      expect(heard.map(({ id }) => id)).toEqual(['', 'é-1', '', '', ''])
      let id = ''
      const ids = heard.map((message) => {
        id = message.id || id
        return { ...message, id }
      })
      expectHeard(ids, end, 'é-1')
      expect(seenBy(`${place}-fetch-event-source-${end}`)).toMatchObject({ runs: 1, answers: [{ status: 200 }] })
    })
  })
})

/** A program of this machine; what needs it is skipped without it, but for CI, where it fails. */
function program(name: string, paths: string[] = []): { title: string; isSkipped: boolean } {
  const isThere =
    paths.every((path) => existsSync(path)) &&
    (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)))
  const skipped = !isThere && !process.env.CI
  return { title: skipped ? `${name} (skipped: install ${[name, ...paths].join(' and ')})` : name, isSkipped: skipped }
}

/** Runs it, with what it has printed so far. */
function run(command: string, args: string[], env: Record<string, string> = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const printed = { output: '', errors: '' }
  child.stdout.on('data', (bytes) => {
    printed.output += bytes
  })
  child.stderr.on('data', (bytes) => {
    printed.errors += bytes
  })
  const exit = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  cleanups.push(() => child.exitCode !== null || child.kill('SIGKILL'))
  return { printed, exit }
}

const curl = program('curl')
describe.skipIf(curl.isSkipped)(curl.title, () => {
  it.each(ENDS)('-N prints each token when it comes, and ends well: %s', async (end) => {
    const name = `curl-${end}`
    let go!: () => void
    gates.set(
      name,
      new Promise((resolve) => {
        go = resolve
      }),
    )
    const { printed, exit } = run('curl', ['-N', '-sS', `${url}/answer?end=${end}&by=${name}`])
    await vi.waitFor(() => expect(printed.output).toContain('two\n\n'), { timeout: 20_000 })
    // Heartbeats as well, while the model thinks.
    await vi.waitFor(() => expect(printed.output).toMatch(/\n:/), { timeout: 20_000 })
    expect(printed.output).not.toContain('日本')
    go()
    expect(await exit).toBe(0)
    expect(printed.errors).toBe('')
    const heard: Heard[] = []
    const events = parseSSE(printed.output, { sentinel: false })
    for await (const { event = 'message', data } of events) heard.push({ event, data, id: events.lastEventId })
    // It accepts anything, and so is no EventSource.
    expectHeard(heard, end, 'é-1')
    expect(seenBy(name)).toMatchObject({ runs: 1 })
  })
})

const GOPATH = '/usr/share/gocode'
const go = program('go', [`${GOPATH}/src/github.com/donovanhide/eventsource`])
describe.skipIf(go.isSkipped)(`${go.title}: donovanhide/eventsource`, () => {
  const source = `package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/donovanhide/eventsource"
)

func main() {
	stream, err := eventsource.Subscribe(os.Args[1], "")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		select {
		case event := <-stream.Events:
			line, _ := json.Marshal(map[string]string{"event": event.Event(), "data": event.Data(), "id": event.Id()})
			fmt.Println(string(line))
		case err := <-stream.Errors:
			// It reconnects for ever: what the second answer is, is the last that is looked at.
			if refused, ok := err.(eventsource.SubscriptionError); ok {
				fmt.Println(refused.Code)
				return
			}
		}
	}
}
`

  it.each(ENDS)('hears every event, and does not run the source again: %s', async (end) => {
    const folder = mkdtempSync(join(tmpdir(), 'sse-relay-'))
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 'main.go')
    writeFileSync(file, source)
    const name = `go-${end}`
    const address = `${url}/answer?end=${end}&by=${name}`
    const { printed, exit } = run('go', ['run', file, address], { GO111MODULE: 'off', GOPATH, GOFLAGS: '' })
    expect(await exit, printed.errors + printed.output).toBe(0)
    const lines = printed.output.trim().split('\n')
    expect(lines.pop()).toBe('204')
    let id = ''
    const heard = lines.map((line): Heard => {
      const message = JSON.parse(line) as Heard
      id = message.id || id
      return { event: message.event || 'message', data: message.data, id }
    })
    expectHeard(heard, end)
    expectOneRun(name)
  })
})
