import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rows, startMatrix } from './matrix/cells.js'
import { protocols } from './matrix/readers.js'

let matrix: Awaited<ReturnType<typeof startMatrix>>
beforeAll(async () => {
  matrix = await startMatrix()
})
afterAll(() => matrix.close())

describe.each([...new Set(rows.map(({ trace }) => trace))])('%s', (trace) => {
  describe.concurrent.each(rows.filter((row) => row.trace === trace))('through $way', (row) => {
    it.each(protocols)('is right in $name()', async (protocol) => {
      const { wrong } = await matrix.run(row, protocol)
      if (wrong.length > 0) expect.fail(wrong.join('\n'))
    })
  })
})
