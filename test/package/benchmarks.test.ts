import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(`${root}/${path}`, 'utf8')

interface Row {
  group: string
  name: string
  ratio?: number
  low?: number
  high?: number
  ours: number
  theirs?: number
  target?: number
  limit?: number
  counted?: number
  runs: number
}
interface Group {
  id: string
  title: string
  rows: Row[]
  figures: { name: string; value: number }[]
  measured: { date: string; node: string; quick: boolean }
}
interface Target {
  what: string
  rows(row: Row): boolean
}

const { groups } = JSON.parse(read('lab/bench/results/latest.json')) as { groups: Group[] }
const load = (path: string) => import(new URL(`../../${path}`, import.meta.url).href)

describe('the benchmark page', () => {
  it('is what the generator makes of the recorded figures, charts included', async () => {
    const { render } = (await load('lab/bench/report.mjs')) as { render(result: object): Record<string, string> }
    const files = render({ groups })
    for (const [path, text] of Object.entries(files)) expect(read(`docs/${path}`), path).toBe(text)
    const charts = readdirSync(`${root}/docs/benchmarks`).map((name) => `benchmarks/${name}`)
    expect(charts.filter((path) => !(path in files))).toEqual([])
  })

  it('has every row of the table of targets, and says of each whether it is reached', async () => {
    const { targets } = (await load('lab/bench/targets.mjs')) as { targets: Target[] }
    const page = read('docs/benchmarks.md').split('\n')
    expect(targets).toHaveLength(15)
    for (const { what } of targets) {
      const line = page.find((each) => each.startsWith(`| ${what} |`))
      expect(line, what).toMatch(/\| (met|missed( \(\d+ of \d+\))?|not measured) \|$/)
    }
  })

  it('has figures of the server, of its memory and of the bundles, each ratio within what its runs gave', () => {
    const ids = groups.map(({ id }) => id)
    expect(ids).toEqual(expect.arrayContaining(['tick', 'burst', 'paced', 'sdk', 'latency', 'memory', 'sizes']))
    for (const { ratio, low, high, ours, runs, name } of groups.flatMap(({ rows }) => rows)) {
      expect(ours, name).toBeGreaterThanOrEqual(0)
      expect(runs, name).toBeGreaterThan(0)
      if (ratio === undefined || low === undefined) continue
      expect(ratio, name).toBeGreaterThanOrEqual(low)
      expect(ratio, name).toBeLessThanOrEqual(high as number)
    }
  })

  it('names the date, the version of Node and what is behind, and links to charts that are there', () => {
    const page = read('docs/benchmarks.md')
    for (const { measured } of groups) expect(page).toContain(`${measured.date}, Node ${measured.node.slice(1)}`)
    expect(page).toContain('## Where this library is not first')
    const links = [...page.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, path]) => path)
    expect(links.length).toBeGreaterThan(5)
    expect(links.filter((path) => !existsSync(`${root}/docs/${path}`))).toEqual([])
  })
})

describe('a verdict', () => {
  it('is of the two digits that are shown, and there is none where nothing is asked', async () => {
    const { isMet } = (await load('lab/bench/targets.mjs')) as { isMet(row: Partial<Row>): boolean | undefined }
    expect(isMet({ ratio: 1.004, target: 1 })).toBe(true)
    expect(isMet({ ratio: 1.006, target: 1 })).toBe(false)
    expect(isMet({ ours: 5001, limit: 5000 })).toBe(false)
    expect(isMet({ ours: 5000, limit: 5000 })).toBe(true)
    expect(isMet({ ours: 0, target: 0 })).toBe(true)
    expect(isMet({ ours: 3, target: 0 })).toBe(false)
    expect(isMet({ ratio: 2 })).toBeUndefined()
  })

  it('is of the counted instructions where the ratio is as near to the target as noise could bring it', async () => {
    const { isMet } = (await load('lab/bench/targets.mjs')) as { isMet(row: Partial<Row>): boolean | undefined }
    expect(isMet({ ratio: 0.83, target: 0.8, counted: 0.52 })).toBe(true)
    expect(isMet({ ratio: 0.78, target: 0.8, counted: 0.85 })).toBe(false)
    expect(isMet({ ratio: 0.9, target: 0.8, counted: 0.52 })).toBe(false)
    expect(isMet({ ratio: 0.7, target: 0.8, counted: 0.85 })).toBe(true)
  })

  it('is over all occasions that are known', async () => {
    const { render } = (await load('lab/bench/report.mjs')) as { render(result: object): Record<string, string> }
    const measured = { date: '2026-01-01', node: 'v20.0.0', machine: 'one', quick: false }
    const pageOf = (ratio: number, past: number[]) => {
      const row = {
        group: 'tick',
        name: 'sse-relay/node / hand-written, Node',
        ...{ ours: ratio, theirs: 1, ratio, low: ratio, high: ratio, runs: 7, target: 1 },
        past: past.map((ratio) => ({ date: '2026-01-01', ratio })),
      }
      const group = { id: 'tick', title: 'T', unit: 'µs', figures: [], rows: [row], measured }
      return render({ groups: [group] })['benchmarks.md'] as string
    }
    expect(pageOf(0.9, [0.9, 1])).toMatch(/^\| sse-relay\/node .*\| met \|$/m)
    expect(pageOf(0.9, [1.1, 1])).toMatch(/^\| sse-relay\/node .*\| met in 2 of 3 \|$/m)
    expect(pageOf(1.1, [1.2])).toMatch(/^\| sse-relay\/node .*\| missed \|$/m)
    expect(pageOf(0.9, [1.1])).toMatch(/^\| relay, one token per tick.*\| missed \|$/m)
    expect(pageOf(0.9, [1])).toMatch(/^\| relay, one token per tick.*\| met \|$/m)
  })

  it('is of the median of all processes, within the middle half of the rounds', async () => {
    const { compare, renew } = (await load('lab/bench/statistics.mjs')) as {
      compare(ours: number[], theirs: number[]): Record<string, number>
      renew(rounds: number[], measure: (count: number) => Promise<object>): Promise<Record<string, number[]>>
    }
    const values = await renew([3, 2], async (count) => ({
      ours: [1, 2, 3].slice(0, count),
      theirs: Array(count).fill(2),
    }))
    expect(values).toEqual({ ours: [1, 2, 3, 1, 2], theirs: [2, 2, 2, 2, 2] })
    expect(compare(values.ours as number[], values.theirs as number[])).toEqual({
      ...{ ours: 2, theirs: 2, ratio: 1, low: 0.5, high: 1, runs: 5 },
    })
  })
})
