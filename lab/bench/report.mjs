// From results/latest.json to docs/benchmarks.md and its charts; what a run prints comes from here too.
// `node lab/bench/report.mjs` writes the page again without measuring.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { said } from './machine.mjs'
import { isMet, targets } from './targets.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** The page and the charts, by their paths under docs/. */
export function render({ groups }) {
  const rows = groups.flatMap((group) => group.rows)
  const files = {}
  const parts = [INTRODUCTION, howItWasMeasured(groups), '## What is to be reached', '', targetTable(rows), '']
  const behind = notFirst(rows)
  const bounds = boundsOf(rows)
  if (bounds.length) parts.push('## What bounds what is missed', '', ...bounds, '')
  parts.push('## Where this library is not first', '', ...(behind.length ? behind : ['Nowhere, in this run.']), '')
  for (const group of groups) {
    parts.push(`## ${group.title}`, '')
    if (group.note) parts.push(group.note, '')
    const bars = barsOf(group)
    if (bars.length) {
      files[`benchmarks/${group.id}.svg`] = chart(`${group.title} (${group.unit})`, bars)
      parts.push(`![${group.title}: ${group.unit}](benchmarks/${group.id}.svg)`, '')
    }
    if (group.figures.length) parts.push(figureTable(group), '')
    if (group.rows.some((row) => row.ratio !== undefined)) parts.push(rowTable(group.rows), '')
  }
  files['benchmarks.md'] = `${parts.join('\n').trimEnd()}\n`
  return files
}

/** Writes what {@link render} gives, and takes away charts of groups that are gone. */
export function write(result) {
  const files = render(result)
  const folder = here('../../docs/benchmarks')
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.svg') && !(`benchmarks/${name}` in files)) rmSync(`${folder}/${name}`)
  }
  for (const [path, text] of Object.entries(files)) writeFileSync(here(`../../docs/${path}`), text)
}

/** A group for the terminal. */
export function printed(group) {
  const lines = [group.title]
  if (group.figures.length) {
    lines.push(
      ...columns([
        ['', group.unit, '× first row', ''],
        ...group.figures.map(({ name, value, ratio, more = '' }) => [
          name,
          number(value),
          ratio === undefined ? '' : number(ratio),
          more,
        ]),
      ]),
      '',
    )
  }
  if (group.rows.length) {
    lines.push(
      ...columns([
        ['', 'ours', 'theirs', 'ratio', 'spread', 'counted', 'target', ''],
        ...group.rows.map((row) => [
          row.name,
          number(row.ours),
          number(row.theirs),
          number(row.ratio),
          spread(row),
          number(row.counted),
          number(row.limit ?? row.target),
          verdict(row),
        ]),
      ]),
      '',
    )
  }
  return lines.join('\n')
}

const INTRODUCTION = `# Benchmarks

This page is written by \`npm run bench\` from what it measured; do not edit it by hand.

\`\`\`sh
npm ci
npm run bench                      # everything; about half an hour
npm run bench -- --quick           # a look, in about a minute
npm run bench -- --only tick,sdk   # single groups; --save records them here
\`\`\`

Every server runs in a process of its own, and its readers in another. A figure is the processor time, user and system, that the server's process used for one token on its way, connections included. The contenders take turns, round after round; the figure is the median of the rounds, and a ratio is the median of the ratios within the rounds, so that a slow moment of the machine meets both sides. What is compared is measured in three processes of either side or more, one after the other, because what the compiler and the allocator make of one program differs by a few percent from process to process. Before a server is measured, its answer is read and must hold the whole text; while it is measured, every byte and every frame is counted, and one that loses any is out. Ratios below 1 are in this library's favour. On an idle machine they wobble by about 5 %, on a busy one by more: \`npm run bench\` says at its head which of the two it found, and by how much its ratios can be trusted. Look at the middle half of the rounds, and at the occasions before. What noise cannot move is counted beside it, where there are \`valgrind\` and \`strace\`: instructions, system calls and bytes of heap per token, for both sides. Where a ratio is within the noise of its target, the counted instructions decide. The absolute figures are of this machine and say little about another.

The hand-written loops do less than what stands beside them: no heartbeat, no stall clock, no failure that a client could tell from an end. What each peer leaves out is in [the comparison](comparison.md). Ten thousand streams that talk, beside a loop that does more, are in [load](load.md).
`

function howItWasMeasured(groups) {
  const occasions = new Map()
  for (const { title, measured } of groups) {
    const { date, node, machine, quick, state } = measured
    const key = `${date}, Node ${node.slice(1)}, ${machine}${quick ? ', a quick run: fewer rounds and connections, good for a look and not for a verdict' : ''}${state ? `. ${said(state)}` : ''}`
    occasions.set(key, [...(occasions.get(key) ?? []), title])
  }
  if (occasions.size === 1) return `Measured on ${[...occasions.keys()][0]}.\n`
  return `Measured on:\n\n${[...occasions].map(([key, titles]) => `- ${key}: ${titles.join('; ')}`).join('\n')}\n`
}

function targetTable(rows) {
  const lines = ['| what | against | target | measured | |', '|---|---|---|---|---|']
  for (const { what, against, target, rows: isOfIt } of targets) {
    const its = rows.filter(isOfIt)
    const values = its.map((row) => `${short(row.name)} ${row.limit === undefined ? ratioOf(row) : kB(row.ours)}`)
    const missed = its.filter((row) => isKept(row) === false).length
    const said =
      its.length === 0
        ? 'not measured'
        : missed === 0
          ? 'met'
          : `missed${its.length > 1 ? ` (${missed} of ${its.length})` : ''}`
    lines.push(`| ${what} | ${against} | ${target} | ${values.join('<br>')} | ${said} |`)
  }
  return lines.join('\n')
}

/** What was found where a promise is not kept: by a profile, or by taking things out. */
function boundsOf(rows) {
  return targets
    .filter(({ bound, rows: isOfIt }) => bound && rows.some((row) => isOfIt(row) && isKept(row) === false))
    .map(({ what, bound }) => `- **${what}.** ${bound}`)
}

/** The ratio, and those of the occasions before. */
function ratioOf({ ratio, ours, past = [] }) {
  if (ratio === undefined) return number(ours)
  return past.length ? `${number(ratio)} (before: ${past.map((each) => number(each.ratio)).join(', ')})` : number(ratio)
}

function notFirst(rows) {
  return rows
    .filter(
      (row) => row.ratio !== undefined && row.theirs !== undefined && row.ratio > 1.005 && !/itself/.test(row.name),
    )
    .map((row) => `- ${groupWords(row.group)}: ${row.name}: ${number(row.ratio)}`)
}

const WORDS = {
  tick: 'one token per tick',
  burst: '20 tokens per tick',
  paced: 'a token every 10 ms',
  sdk: 'OpenAI SDK',
  log: 'memory log, one token per tick',
  'log-burst': 'memory log, 20 tokens per tick',
  first: 'first token',
  redis: 'Redis, read in another process',
  'redis-burst': 'Redis, 20 tokens at once',
  'redis-followers': 'Redis, ten readers of each run',
  'redis-here': 'Redis, read where it is produced',
  'redis-kept': 'Redis, beside a run that is not kept',
}
const groupWords = (group) => WORDS[group] ?? group

function figureTable({ figures, unit }) {
  const hasMore = figures.some(({ more }) => more)
  const hasRatio = figures.some(({ ratio }) => ratio !== undefined)
  const head = ['', unit, ...(hasRatio ? [`× ${figures[0].name}`] : []), ...(hasMore ? [''] : [])]
  return table(
    head,
    figures.map(({ name, value, ratio, more = '', ours }) => [
      ours ? `**${name}**` : name,
      number(value),
      ...(hasRatio ? [number(ratio)] : []),
      ...(hasMore ? [more] : []),
    ]),
  )
}

function rowTable(rows) {
  const isCounted = rows.some(({ counted }) => counted !== undefined)
  return table(
    [
      ...['compared', 'ours', 'theirs', 'ratio', 'middle half of the rounds'],
      ...(isCounted ? ['instructions'] : []),
      ...['runs', 'target', ''],
    ],
    rows.map((row) => [
      row.name,
      number(row.ours),
      number(row.theirs),
      ratioOf(row),
      spread(row),
      ...(isCounted ? [number(row.counted)] : []),
      String(row.runs ?? ''),
      number(row.limit ?? row.target),
      verdict(row),
    ]),
  )
}

function table(head, rows) {
  return [head, head.map((_, index) => (index === 0 ? '---' : '---:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

function columns(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows.map((row) =>
    `  ${row.map((cell, index) => (index ? cell.padStart(widths[index]) : cell.padEnd(widths[index]))).join('  ')}`.trimEnd(),
  )
}

/** Of a row that has been measured on several occasions, whether it was met on each. */
const isKept = (row) => (isMet(row) === undefined ? undefined : occasions(row).every(isMet))
const occasions = ({ past = [], ...row }) => [row, ...past.map(({ ratio, counted }) => ({ ...row, ratio, counted }))]

function verdict(row) {
  if (isMet(row) === undefined) return ''
  const all = occasions(row)
  const met = all.filter(isMet).length
  return met === all.length ? 'met' : met === 0 ? 'missed' : `met in ${met} of ${all.length}`
}

const spread = ({ low, high }) => (low === undefined ? '' : `${number(low)} – ${number(high)}`)
const kB = (bytes) => `${(bytes / 1000).toFixed(2)} kB`
const short = (name) => name.replace(/ \/ .*/, '')

function number(value) {
  if (value === undefined || value === null) return ''
  if (Math.abs(value) >= 1000) return Math.round(value).toString()
  return value.toFixed(Math.abs(value) >= 100 ? 0 : 2)
}

/** What a group's chart shows: its figures, or else both sides of its rows. */
function barsOf({ figures, rows }) {
  if (figures.length) return figures
  return rows
    .filter(({ theirs }) => theirs !== undefined)
    .flatMap(({ name, ours, theirs }) => [
      { name, value: ours, ours: true },
      { name: 'the other', value: theirs, ours: false },
    ])
}

const WIDTH = 760
const LABEL = 300
const ROW = 26

/** Horizontal bars. No colour of the page is known, so text takes the one that is readable on both. */
function chart(title, bars) {
  const most = Math.max(...bars.map(({ value }) => value))
  const height = 40 + bars.length * ROW + 8
  const lines = bars.map(({ name, value, ours }, index) => {
    const y = 40 + index * ROW
    const width = Math.max(1, ((WIDTH - LABEL - 70) * value) / most).toFixed(1)
    return [
      `<text x="${LABEL - 10}" y="${y + 14}" text-anchor="end"${ours ? ' font-weight="600"' : ''}>${escaped(name)}</text>`,
      `<rect x="${LABEL}" y="${y}" width="${width}" height="18" rx="3" class="${ours ? 'ours' : 'theirs'}"/>`,
      `<text x="${(LABEL + Number(width) + 6).toFixed(1)}" y="${y + 14}">${number(value)}</text>`,
    ].join('')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.ours { fill: #1a7f64 }
.theirs { fill: #9aa4af }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #3fb98f } .theirs { fill: #6e7781 } }
</style>
<text x="10" y="22" font-weight="600">${escaped(title)}</text>
${lines.join('\n')}
</svg>
`
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  write(JSON.parse(readFileSync(here('results/latest.json'), 'utf8')))
}
