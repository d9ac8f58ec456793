// Whether the server of docs/deploy.md, section Restarts, ends as the page says, on Bun.
import { vi } from 'vitest'
import { type Engine, runtimes } from '../client/browsers/engines.js'
import { shutsDown } from './shutdown/behaviours.js'
import { recipes } from './shutdown/servers.js'

vi.setConfig({ testTimeout: 60_000 })

const bun = (await runtimes()).find(({ name }) => name === 'Bun') as Engine
for (const recipe of await recipes(bun)) shutsDown(recipe)
