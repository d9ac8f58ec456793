// Whether each server of docs/deploy.md, section Restarts, ends as the page says, on Node.
import { vi } from 'vitest'
import { node } from '../client/browsers/engines.js'
import { shutsDown } from './shutdown/behaviours.js'
import { recipes } from './shutdown/servers.js'

vi.setConfig({ testTimeout: 60_000 })

for (const recipe of await recipes(node)) shutsDown(recipe)
