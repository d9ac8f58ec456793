#!/usr/bin/env node
/** Which tool does the command `sse-relay` start, and what is its exit status? */
import { readFile } from 'node:fs/promises'
import { suggestion, UsageError } from './arguments.js'
import { ignoreClosedPipes } from './terminal.js'

interface Command {
  HELP: string
  /** Resolves to the exit status. */
  run(args: string[]): Promise<number>
}

// Each command loads what it needs, and only when it is used.
const COMMANDS: Record<string, { about: string; load(): Promise<Command> }> = {
  doctor: { about: 'says what is wrong with a stream, and how to fix it', load: () => import('./doctor/command.js') },
  tail: { about: 'shows the events of a stream as they come', load: () => import('./tail.js') },
  demo: { about: 'serves a page that shows an answer arrive', load: () => import('./demo/command.js') },
}

const names = Object.keys(COMMANDS)

const HELP = `\
sse-relay: tools for the event streams of language models

${Object.entries(COMMANDS)
  .map(([name, { about }]) => `  sse-relay ${name.padEnd(8)}${about}`)
  .join('\n')}

  sse-relay COMMAND --help    what it takes, with examples
  sse-relay --version

The library itself is imported: see README.md in the package.
`

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const command = name === 'help' && args[0] !== undefined && find(args[0])
    process.stdout.write(command ? (await command.load()).HELP : HELP)
    return name === undefined ? 2 : 0
  }
  if (name === '--version' || name === '-v') {
    // `package.json` is one folder up, from the build as from the source.
    const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
    process.stdout.write(`${manifest.version}\n`)
    return 0
  }
  if (name.startsWith('-')) {
    throw new UsageError(`There is no option ${name} before the command${suggestion(name, ['--help', '--version'])}`)
  }
  return (await find(name).load()).run(args)
}

function find(name: string) {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command)
    throw new UsageError(`There is no command "${name}"${suggestion(name, names) || `: ${names.join(', ')}`}`)
  return command
}

ignoreClosedPipes()
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  const [name = ''] = process.argv.slice(2)
  const command = Object.hasOwn(COMMANDS, name) ? `${name} ` : ''
  process.stderr.write(`${error.message}\nsee: sse-relay ${command}--help\n`)
  process.exitCode = 2
}
