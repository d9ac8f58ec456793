/** The table of docs/deploy.md, between its markers. */
import { type Behaviour, behaviours } from './behaviours.js'
import type { Row } from './fronts.js'

const BEGIN = '<!-- written by node scripts/proxies.mjs -->'
const END = '<!-- to here -->'

/** The page with the table of what came out. */
export function withTable(page: string, rows: readonly Row[], verdict: (row: Row, name: Behaviour) => string): string {
  const [before, between, after] = [page.indexOf(BEGIN), page.indexOf(END), page.lastIndexOf(END)]
  if (before < 0 || between < before || between !== after) throw new Error(`The page needs ${BEGIN} and ${END}, once`)
  const names = Object.keys(behaviours) as Behaviour[]
  // Servers with the same cells make one line.
  const lines = new Map<string, { front: string; cells: string; remark: string; hosts: string[] }>()
  for (const row of rows) {
    const front = frontOf(row)
    const cells = names.map((name) => verdict(row, name)).join(' | ')
    const key = JSON.stringify([front, cells, row.remark])
    const line = lines.get(key) ?? { front, cells, remark: row.remark, hosts: [] }
    line.hosts.push(row.host.name)
    lines.set(key, line)
  }
  const head = ['in front', 'server', ...names.map((name) => behaviours[name].column), 'remark']
  const table = [
    `| ${head.join(' | ')} |`,
    `|${'---|'.repeat(head.length)}`,
    ...[...lines.values()].map(
      ({ front, cells, remark, hosts }) => `| ${front} | ${hosts.join(', ')} | ${cells} | ${remark} |`,
    ),
  ]
  return `${page.slice(0, before)}${BEGIN}\n\n${table.join('\n')}\n\n${page.slice(between)}`
}

/** With the names of the packages where middleware is what stands in front. */
function frontOf({ front, middleware = [], nginx, host }: Row): string {
  if (nginx.length > 0 || middleware.length === 0) return front
  return middleware.map((name) => `\`${host.middleware[name]}\``).join(', ')
}
