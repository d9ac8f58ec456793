// Do hooks run in the context of their own request where the runtime has no `process.getBuiltinModule`?

import { AsyncLocalStorage } from 'node:async_hooks'
import type * as web from 'sse-relay/web'
import { afterEach, expect, it, vi } from 'vitest'

const { getBuiltinModule } = process
afterEach(() => {
  process.getBuiltinModule = getBuiltinModule
  vi.resetModules()
})

it.each([
  ['with it', getBuiltinModule],
  ['without it, by the reaction of a promise', undefined],
])('%s: a shutdown that another request triggers tells each in its own', async (_, builtin) => {
  process.getBuiltinModule = builtin as never
  vi.resetModules()
  const { relay }: typeof web = await import('sse-relay/web')
  const requests = new AsyncLocalStorage<string>()
  const shutdown = new AbortController()
  const seen: string[] = []
  const answers = ['a', 'b'].map((name) =>
    requests.run(name, async () => {
      const note = (what: string) => void seen.push(`${name}: ${what} in ${requests.getStore()}`)
      const response = await relay(
        new Request('http://localhost/', { method: 'POST' }),
        async function* ({ signal }) {
          yield 'Hello'
          await new Promise<void>((resolve) =>
            signal.addEventListener('abort', () => {
              note('abort')
              resolve()
            }),
          )
        },
        { shutdown: shutdown.signal, onEnd: () => note('end'), onClose: () => note('close') },
      )
      const reader = (response.body as ReadableStream).getReader()
      await reader.read()
      return reader
    }),
  )
  const readers = await Promise.all(answers)
  requests.run('another', () => shutdown.abort())
  for (const reader of readers) while (!(await reader.read()).done);
  await vi.waitFor(() => expect(seen).toHaveLength(6))
  const expected = ['a', 'b'].flatMap((name) => ['abort', 'close', 'end'].map((what) => `${name}: ${what} in ${name}`))
  expect(seen.sort()).toEqual(expected)
})
