// `node scripts/support.mjs`: the tests of the hosts and the checks of all examples, and the support table in docs/hosts.md made of
// those that passed, by way of scripts/support.json. `node scripts/nodes.mjs` adds the versions of Node. Build first.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const json = join(root, 'scripts/support.json')
const page = join(root, 'docs/hosts.md')

/** What stands between the marks in docs/hosts.md. */
export function tableOf({ node, hosts }) {
  const rows = hosts.map(({ host, version, tests, example }) => {
    const name = host === 'workerd' ? host : host[0].toUpperCase() + host.slice(1)
    const link = example ? `[examples/${example}](../examples/${example})` : ''
    return `| ${[name, version, tests, link].join(' | ')} |`
  })
  const suite = node.length > 0 ? `The whole suite passes on Node ${node.join(', ')}. ` : ''
  return [
    `${suite}How many tests each host has passed, and in which version:`,
    '',
    '| host | version | tests | example, tested too |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n')
}

/** The page with the table in its place. */
export function withTable(text, support) {
  const [, before, after] = /^([\s\S]*<!-- support -->\n)[\s\S]*(\n<!-- \/support -->[\s\S]*)$/.exec(text)
  return before + tableOf(support) + after
}

/** Takes down that the whole suite passed on that version. */
export function recordNode(version) {
  const support = read()
  const others = support.node.filter((other) => major(other) !== major(version))
  write({ ...support, node: [...others, version].sort((a, b) => major(a) - major(b)) })
}

const major = (version) => Number(version.split('.')[0])
const read = () => (existsSync(json) ? JSON.parse(readFileSync(json, 'utf8')) : { node: [], hosts: [] })

function write(support) {
  writeFileSync(json, `${JSON.stringify(support, null, 2)}\n`)
  writeFileSync(page, withTable(readFileSync(page, 'utf8'), support))
}

/** One row for each host: the tests of its behaviour, and the example of its name. */
function rowsOf(reports) {
  const rows = new Map()
  for (const { host, version, tests, example } of reports.filter((report) => !report.example)) {
    const before = rows.get(host)?.tests ?? 0
    rows.set(host, { host, version, tests: before + tests, example })
  }
  for (const { host, version, tests, example } of reports.filter((report) => report.example)) {
    // The example of Express is for the first of its versions.
    const found = rows.has(host) ? host : [...rows.keys()].find((name) => name.startsWith(`${host} `))
    rows.set(found ?? host, { host, version, tests, ...rows.get(found), example })
  }
  return [...rows.values()].sort((a, b) => a.host.localeCompare(b.host, 'en', { sensitivity: 'base' }))
}

function run() {
  const folder = mkdtempSync(join(tmpdir(), 'sse-relay-support-'))
  const report = join(folder, 'reports.jsonl')
  // A missing runtime is a failure here, not a gap in the table.
  const env = { ...process.env, SUPPORT_REPORT: report, CI: 'true' }
  const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--reporter=dot', '--silent=true']
  try {
    for (const [what, args] of [
      ['the tests of the hosts', [...vitest, 'test/hosts/conformance/', 'test/hosts/runtimes.test.ts', 'examples/']],
      ['the other examples', [join(root, 'scripts/examples.mjs')]],
    ]) {
      console.log(`\n${what} …`)
      const { status } = spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit', timeout: 20 * 60_000 })
      if (status !== 0) throw new Error(`${what} failed: the table is as it was`)
    }
    const reports = readFileSync(report, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    write({ ...read(), hosts: rowsOf(reports) })
    console.log(`\n${tableOf(read())}`)
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run()
