import { checkExample } from '../check.js'

checkExample('express', '/v1/messages')
