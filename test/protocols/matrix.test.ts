import { readFileSync } from 'node:fs'
import { traceNames } from 'sse-relay/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Matrix, type Row, rows, startMatrix } from './matrix/cells.js'
import { expected } from './matrix/expected.js'
import { type ProtocolUnderTest, protocols } from './matrix/readers.js'
import { CLIENTS, render } from './matrix/table.js'

let matrix: Matrix
beforeAll(async () => {
  matrix = await startMatrix()
})
afterAll(() => matrix.close())

const results = new Map<string, string[]>()
const keyOf = (row: Row, protocol: ProtocolUnderTest) => `${row.trace} ${row.way} ${protocol.name}`

describe('the table of expected values', () => {
  it('has every trace', () => {
    expect(Object.keys(expected).sort()).toEqual(traceNames())
  })
})

describe.each([...new Set(rows.map(({ trace }) => trace))])('%s', (trace) => {
  describe.concurrent.each(rows.filter((row) => row.trace === trace))('through $way', (row) => {
    it.each(protocols)('is right in $name()', async (protocol) => {
      const { wrong } = await matrix.run(row, protocol)
      results.set(keyOf(row, protocol), wrong)
      if (wrong.length > 0) expect.fail(wrong.join('\n'))
    })
  })
})

describe('docs/matrix.md', () => {
  it('is what came out: node scripts/matrix.mjs writes it', async ({ skip }) => {
    skip(results.size < rows.length * protocols.length, 'some cells were not run')
    const page = render(rows, (row, protocol) => results.get(keyOf(row, protocol)) ?? [])
    const [, clients = ''] = readFileSync(new URL('../../docs/matrix.md', import.meta.url), 'utf8').split(CLIENTS)
    await expect(`${page}${CLIENTS}${clients}`).toMatchFileSnapshot('../../docs/matrix.md')
  })
})
