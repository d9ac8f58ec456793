// What is left of a tick when one of its tasks throws?
import { afterEach, expect, it, vi } from 'vitest'

afterEach(() => void vi.unstubAllGlobals())

it('a task that throws takes nothing from the others of its tick, nor from those that came meanwhile', async () => {
  const ticks: (() => void)[] = []
  vi.stubGlobal('process', { ...process, nextTick: (task: () => void) => ticks.push(task) })
  vi.resetModules()
  const { atTickEnd, callAtTickEnd } = await import('../../src/tick.js')
  const done: string[] = []
  const say = (what: string) => void done.push(what)
  atTickEnd(say, 'one')
  callAtTickEnd(() => {
    atTickEnd(say, 'four')
    throw new Error('no')
  })
  atTickEnd(say, 'two')
  atTickEnd(say, 'three')
  expect(() => ticks.shift()?.()).toThrow('no')
  expect(done).toEqual(['one'])
  for (let tick = ticks.shift(); tick; tick = ticks.shift()) tick()
  expect(done).toEqual(['one', 'two', 'three', 'four'])

  callAtTickEnd(() => {
    throw new Error('no')
  })
  atTickEnd(say, 'five')
  expect(() => ticks.shift()?.()).toThrow('no')
  for (let tick = ticks.shift(); tick; tick = ticks.shift()) tick()
  expect(done.at(-1)).toBe('five')
})
