import { checkExample } from '../check.js'

checkExample('hono', '/v1/chat/completions')
