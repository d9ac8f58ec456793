// `node scripts/release-dry.mjs`: everything of a release but the publishing. What the tarball holds, what the changesets make of
// the version and the changelog, and the package installed into a fresh project on every supported Node, on Bun and on
// Deno, where each sample and each command of the README and the quick start is run against a replayed provider, under
// the file name that the page gives it. Build first.
// `-- 24 Bun` takes only those runtimes; `-- --quick` only this Node, without what `npm run check` has looked at already.
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { basename, delimiter, dirname, join, posix } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { freePort } from './free-port.mjs'
import { nodeProgram } from './node-program.mjs'
import { execute, freshFolder, manifest, npm, pack, root, same, start, step, trial } from './packed.mjs'
import { print } from './progress.mjs'
import { commandsOf, pageProgram, quickStartPackages, readmeSamples, serverProgram, typed } from './readme-samples.mjs'
import { runtimeProgram } from './runtime-program.mjs'
import { subpaths } from './subpaths.mjs'

const NODES = ['20', '22', '24', '26']
const SHIPS = ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md']
const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'
const QUESTION = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }] }),
}
const LIMIT_MS = 60_000

const isQuick = process.argv.includes('--quick')
const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const bin = (name, path) => join(root, 'node_modules', name, path)

await trial(async () => {
  const { tarball, paths, size, unpackedSize } = await pack()
  const { folder, file } = freshFolder()
  await execute('tar', ['-xzf', tarball, '-C', folder])
  const read = (path) => readFileSync(file(`package/${path}`), 'utf8')

  await step('the version and the changelog', version)
  await step('what ships', () => {
    same(
      SHIPS.filter((path) => !paths.includes(path)),
      [],
    )
    same(
      paths.filter((path) => !path.startsWith('dist/') && !SHIPS.includes(path)),
      [],
    )
    return `${paths.length} files, ${kB(size)} packed, ${kB(unpackedSize)} unpacked`
  })
  await step('source maps carry their sources, which are all of this repository', () => sourceMaps(paths, read))
  await step('licence', () => licence(paths, read))
  if (!isQuick) {
    const quietly = (...args) => execute(process.execPath, args).then(() => {})
    await step('publint', () => quietly(bin('publint', 'src/cli.js'), '--strict', tarball))
    const attw = bin('@arethetypeswrong/cli', 'dist/index.js')
    await step('attw', () => quietly(attw, tarball, '--profile', 'esm-only'))
    await step('sizes', () => quietly(join(root, 'scripts/sizes.mjs'), '--of', folder))
  }

  const samples = readmeSamples(root)
  for (const runtime of await runtimes()) {
    const project = freshFolder()
    const installed = await step(`${runtime.title}: a fresh project`, () => install(runtime, project, tarball))
    if (!installed) continue
    await step(`${runtime.title}: every subpath, and the command`, () => imported(runtime, project))
    await readme(runtime, project, samples)
  }
})

/** What the changesets make of the version, in a copy. */
async function version() {
  const { folder, file, write } = freshFolder()
  for (const path of ['.changeset', 'CHANGELOG.md', 'package.json']) {
    if (existsSync(join(root, path))) cpSync(join(root, path), file(path), { recursive: true })
  }
  // Changesets asks git for the files that are its own.
  await execute('git', ['init', '--quiet'], { cwd: folder })
  write('package-lock.json', { name: manifest.name, lockfileVersion: 3, packages: {} })
  const waiting = readdirSync(file('.changeset')).filter((name) => name.endsWith('.md') && name !== 'README.md')
  if (waiting.length > 0)
    await execute(process.execPath, [bin('@changesets/cli', 'bin.js'), 'version'], { cwd: folder })
  const { version } = JSON.parse(readFileSync(file('package.json'), 'utf8'))
  const changelog = existsSync(file('CHANGELOG.md')) ? readFileSync(file('CHANGELOG.md'), 'utf8') : ''
  const [, latest, entry] = /^# .*\n+## (\S+)\n([\s\S]*?)(?=^## |$(?![\s\S]))/m.exec(changelog) ?? []
  if (latest !== version) throw new Error(`CHANGELOG.md begins with ${latest ?? 'nothing'}, the version is ${version}`)
  if (!/\w/.test(entry)) throw new Error(`CHANGELOG.md says nothing of ${version}`)
  // Nobody had a version before the first, so there is nothing to tell of what changed on the way.
  const told = entry.match(/^- /gm)?.length
  if (manifest.version === '0.0.0' && told !== 1)
    throw new Error(`CHANGELOG.md is to have one entry of ${version}, that of first-release.md, and has ${told}`)
  if (waiting.length === 0) return `${version}, and no changeset is waiting`
  print(entry.trim().replace(/^/gm, '    '))
  return `${waiting.join(', ')} would make it ${version}, as above`
}

/** Each map has the text of each of its sources, and that is the file of `src`: nothing of anybody else is bundled. */
function sourceMaps(paths, read) {
  const scripts = paths.filter((path) => /^dist\/[^/]+\.js$/.test(path))
  let count = 0
  for (const path of scripts) {
    const [, name] = /\/\/# sourceMappingURL=(\S+)\s*$/.exec(read(path)) ?? []
    if (!name || !paths.includes(`dist/${name}`)) throw new Error(`${path} has no source map`)
    const { sources, sourcesContent = [] } = JSON.parse(read(`dist/${name}`))
    for (const [index, source] of sources.entries()) {
      const origin = posix.join('dist', source)
      if (!origin.startsWith('src/')) throw new Error(`${path} holds ${origin}, which is not of this repository`)
      if (sourcesContent[index] !== readFileSync(join(root, origin), 'utf8'))
        throw new Error(`The map of ${path} has not the text of ${origin}: build again`)
      count++
    }
  }
  if (count === 0) throw new Error('No map has a source')
  return `${count} sources of ${scripts.length} files`
}

/** The licence that package.json names, and nothing in the tarball that has another one. */
function licence(paths, read) {
  const { license, dependencies, bundleDependencies } = JSON.parse(read('package.json'))
  same([license, dependencies, bundleDependencies], ['MIT', undefined, undefined])
  if (!/^MIT License\n/.test(read('LICENSE'))) throw new Error('LICENSE is not the MIT License')
  // What is not code comes from a folder of `src`, file by file.
  const copies = { traces: 'src/testing/traces', page: 'src/cli/demo/page' }
  for (const path of paths.filter(
    (path) => path.startsWith('dist/') && !/^dist\/[^/]+\.(js|js\.map|d\.ts)$/.test(path),
  )) {
    const [, folder, name] = /^dist\/(\w+)\/([^/]+)$/.exec(path) ?? []
    const origin = copies[folder] && join(root, copies[folder], name)
    if (!origin || !existsSync(origin)) throw new Error(`It is not known where ${path} is from`)
  }
  return license
}

/** The programs to try it on: Node by its major version, each with the project's own installer. */
async function runtimes() {
  const own = process.versions.node.split('.')[0]
  const names = chosen.length > 0 ? chosen : isQuick ? [own] : [...NODES, 'Bun', 'Deno']
  const found = []
  for (const name of names) {
    if (name === own && isQuick)
      found.push(node({ path: process.execPath, folder: dirname(process.execPath), version: process.versions.node }))
    else if (NODES.includes(name)) found.push(node(nodeProgram(name)))
    else if (name === 'Bun') found.push(other(await runtimeProgram('Bun'), ['install'], ['run']))
    else if (name === 'Deno') found.push(other(await runtimeProgram('Deno'), ['install'], ['run', '--allow-all']))
    else throw new Error(`${name}: it is tried on ${[...NODES, 'Bun', 'Deno'].join(', ')}`)
  }
  return found
}

function node({ path, folder, version }) {
  // npm runs on the Node that it finds.
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` }
  const takesTypes = Number(version.split('.')[0]) > 22
  const install = (cwd) => npm(cwd, ['install', '--ignore-scripts'], env)
  return {
    title: `Node ${version}`,
    name: 'Node',
    path,
    run: ['--no-warnings'],
    takesTypes,
    takesTarballs: true,
    install,
  }
}

function other({ name, version, path, missing }, installing, run) {
  if (missing) throw new Error(missing)
  const install = (cwd) => execute(path, installing, { cwd })
  // Deno links what a `file:` names, and a tarball is no folder: it is unpacked for it.
  return { title: `${name} ${version}`, name, path, run, takesTypes: true, takesTarballs: name === 'Bun', install }
}

/** The tarball and what the samples import, and nothing that the package would have brought with it. */
async function install({ install, takesTarballs }, { folder, file, write }, tarball) {
  copyFileSync(tarball, file(basename(tarball)))
  if (!takesTarballs) await execute('tar', ['-xzf', basename(tarball)], { cwd: folder })
  const from = takesTarballs ? basename(tarball) : 'package'
  const versions = manifest.devDependencies
  // What the quick start says, and what React's and OpenAI's subpaths import.
  const names = [...quickStartPackages(root), 'openai', 'react']
  const dependencies = Object.fromEntries(names.map((name) => [name, versions[name] ?? '*']))
  write('package.json', {
    private: true,
    dependencies: { ...dependencies, 'sse-relay': `file:./${from}` },
  })
  await install(folder)
}

/** Every subpath is there, and the command says what it can do. */
async function imported(runtime, { folder, write }) {
  const script = `for (const name of ${JSON.stringify(subpaths.map(({ name }) => name))})
  if (Object.keys(await import(name)).length === 0) throw new Error(name + ' has nothing in it')
console.log('all there')\n`
  same((await run(runtime, folder, write('imported.mjs', script))).trim(), 'all there')
  const help = await run(runtime, folder, join(folder, 'node_modules/sse-relay/dist/cli.js'), '--help')
  if (!help.includes('doctor')) throw new Error(`The command said: ${help}`)
}

/** The samples of both pages: the servers together, then every page and every command at the server that it is for. */
async function readme(runtime, project, samples) {
  const { folder, file, write } = project
  const { replayUpstream, collect } = await import(
    pathToFileURL(join(folder, 'node_modules/sse-relay/dist/testing.js')).href
  )
  const upstream = await replayUpstream({ pauseMs: 60 })
  const env = {
    PATH: `${runtime.name === 'Node' ? dirname(runtime.path) + delimiter : ''}${process.env.PATH}`,
    HOME: process.env.HOME,
    ANTHROPIC_API_KEY: 'test',
    ANTHROPIC_BASE_URL: upstream.url,
    OPENAI_API_KEY: 'test',
    OPENAI_BASE_URL: `${upstream.url}/v1`,
  }
  const isHere = ({ on = runtime.name }) => on === runtime.name
  const of =
    (name) =>
    ({ asks, maps }) =>
      name === (asks ?? maps)
  // A file named `.mjs` is JavaScript as it stands.
  const save = (name, program, language, title = 'sample') => {
    mkdirSync(file(name), { recursive: true })
    if (language === 'js') return write(`${name}/${title}.mjs`, program)
    if (runtime.takesTypes) return write(`${name}/${title}.ts`, program)
    const { outputText } = ts.transpileModule(program, { compilerOptions: { module: 99, target: 9 } })
    return write(`${name}/${title}.mjs`, outputText)
  }
  const servers = new Map()
  const begin = async (name, sample, language) => {
    const port = await freePort()
    const program = serverProgram(sample, port, runtime.name)
    const path = save(name.replaceAll(' ', '-'), program, language, 'server')
    // As the page says to start it, where it does so for this runtime.
    const [said, ...words] = sample.command?.split(' ') ?? []
    const args = said === runtime.name.toLowerCase() ? [...words.slice(0, -1), path] : [...runtime.run, path]
    servers.set(name, { port, ...serve(runtime, dirname(path), args, port, env) })
  }
  const typedServers = samples.filter(({ serves, language, command }) => serves && language === 'js' && command)
  if (runtime.name === 'Node')
    await step(`${runtime.title}: TypeScript takes them`, () => typeChecked(project, typedServers))
  try {
    for (const sample of samples.filter((sample) => sample.serves && isHere(sample)))
      await begin(sample.serves, sample, sample.language)
    if (runtime.name === 'Node' && runtime.takesTypes) {
      for (const sample of typedServers)
        await begin(`${sample.serves}-typed`, { ...sample, text: typed(sample, root) }, 'ts')
    }
    for (const [name, { listening, output }] of servers) {
      await step(`${runtime.title}: the sample for ${name}`, async () => {
        const answer = await fetch(`${await listening}/api/chat`, QUESTION).catch((error) => {
          throw new Error(`${error.message}\n${output()}`)
        })
        const { outcome, text } = await collect(answer)
        same({ outcome, text }, { outcome: 'done', text: ANSWER })
      })
    }
    for (const [name, { listening, port }] of servers) {
      for (const sample of samples.filter(of(name))) {
        const { path, line, language } = sample
        const isCommands = language === 'sh'
        if ((isCommands || sample.maps) && runtime.name !== 'Node') continue
        await step(`${runtime.title}: ${path}:${line}, for ${name}`, async () => {
          const url = await listening
          if (isCommands) return pasted(commandsOf(sample, port), { cwd: folder, env })
          if (sample.maps) return mapped(project, JSON.parse(sample.text), samples)
          const saved = save(`page-${line}`, pageProgram(sample, url), language)
          same(JSON.parse(await run(runtime, folder, saved)), [ANSWER, ''])
        })
      }
    }
    if (runtime.name === 'Node') await step(`${runtime.title}: npx sse-relay demo`, () => demo(folder, env))
  } finally {
    for (const { child } of servers.values()) child.kill('SIGKILL')
    await upstream.close()
  }
}

/** The servers as `server.ts`, in a package of modules and under the types, as the page says. */
function typeChecked({ folder, file, write }, samples) {
  const options = { module: 'nodenext', target: 'es2022', strict: true, noEmit: true, skipLibCheck: true }
  const files = samples.map((sample) => {
    const name = `${sample.serves}-typed`
    mkdirSync(file(name), { recursive: true })
    write(`${name}/package.json`, { type: 'module' })
    return write(`${name}/server.ts`, typed(sample, root))
  })
  const program = ts.createProgram(files, ts.convertCompilerOptionsFromJson(options, folder).options)
  const wrong = ts.getPreEmitDiagnostics(program)
  const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => folder, getNewLine: () => '\n' }
  if (wrong.length > 0) throw new Error(ts.formatDiagnostics(wrong, host))
  return `${files.length} files`
}

/** Commands in a shell: each ends well, and what streams is there to its end. */
async function pasted(commands, options) {
  const shown = await execute('bash', ['-e', '-c', commands], { ...options, timeout: LIMIT_MS })
  if (!shown.includes('Nothing is wrong with this stream.')) throw new Error(`It showed\n${shown}`)
  if (commands.includes('curl') && !shown.includes('data: [DONE]')) throw new Error(`curl showed\n${shown}`)
}

/** What a browser loads by that map, from the folder that the page says to serve. */
async function mapped({ file }, { imports }, samples) {
  const { text } = samples.find(({ serves }) => serves === 'Express')
  const [, route, served] = /app\.use\('([^']+)', express\.static\('([^']+)'\)\)/.exec(
    readFileSync(join(root, 'docs/quick-start.md'), 'utf8'),
  )
  same(text.includes('const app = express()'), true)
  const loaded = new Set()
  const load = (url) => {
    if (loaded.has(url)) return
    loaded.add(url)
    if (!url.startsWith(`${route}/`)) throw new Error(`${url} is not below ${route}`)
    const code = readFileSync(file(posix.join(served, url.slice(route.length))), 'utf8')
    for (const [, name] of code.matchAll(/\bfrom ?["']([^"']+)["']/g)) {
      if (!name.startsWith('.')) throw new Error(`${url} imports ${name}, which no browser finds`)
      load(posix.join(posix.dirname(url), name))
    }
  }
  for (const url of Object.values(imports)) load(url)
  return `${loaded.size} files`
}

/** The demo, as the README says it, on a port that is free. */
async function demo(folder, env) {
  const port = await freePort()
  const child = start('npx', ['sse-relay', 'demo'], {
    cwd: folder,
    env: { ...env, PORT: String(port) },
    detached: true,
  })
  child.on('error', () => {})
  try {
    await listens(port, () => child.exitCode !== null)
    const page = await fetch(`http://localhost:${port}/`)
    same([page.status, /<title>/.test(await page.text())], [200, true])
  } finally {
    // With what npx started.
    process.kill(-child.pid, 'SIGKILL')
  }
}

/** What a file prints that ends by itself. */
function run({ path, run }, cwd, ...args) {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME }
  return execute(path, [...run, ...args], { cwd, env, timeout: LIMIT_MS })
}

/** A program that is asked over that port, once it listens. */
function serve({ path }, cwd, args, port, env) {
  const child = start(path, args, { cwd, env })
  let output = ''
  let ended = false
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      output += bytes
    })
  }
  child.on('error', () => {})
  child.on('close', () => {
    ended = true
  })
  const listening = listens(port, () => ended).catch((error) => {
    throw new Error(`${args.join(' ')}: ${error.message}\n${output}`)
  })
  // Told where it is waited for.
  listening.catch(() => {})
  return { child, listening, output: () => output }
}

/** Its address, once something listens there. */
async function listens(port, hasEnded) {
  const until = Date.now() + LIMIT_MS
  for (;;) {
    for (const host of ['127.0.0.1', '::1']) if (await accepts(host, port)) return `http://localhost:${port}`
    if (hasEnded() || Date.now() > until) throw new Error('it does not listen')
    await sleep(50)
  }
}

function accepts(host, port) {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

function kB(bytes) {
  return `${Math.round(bytes / 1000)} kB`
}
