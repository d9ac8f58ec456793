import { checkExample } from '../check.js'

checkExample('node', '/v1/responses')
