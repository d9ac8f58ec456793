import { checkExample } from '../check.js'

checkExample('koa', '/v1/chat/completions')
