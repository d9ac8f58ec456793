import { checkExample } from '../check.js'

checkExample('fastify', '/v1/messages')
