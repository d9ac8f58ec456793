import { checkExample } from '../check.js'

checkExample('web', '/v1/messages')
