/** Is an object that a source yields a part already? */
import { isObject } from '../errors.js'
import type { Part } from '../types.js'
import { hasOnly } from './keys.js'

export function isPart(chunk: object): chunk is Part {
  const part = chunk as { [key: string]: unknown }
  switch (part.type) {
    case 'text':
    case 'reasoning':
      return typeof part.text === 'string'
    case 'tool-call': {
      const { index, input, id = '', name = '' } = part
      return (
        typeof index === 'number' && typeof input === 'string' && typeof id === 'string' && typeof name === 'string'
      )
    }
    case 'tool-result':
      return typeof part.id === 'string' && 'output' in part
    case 'usage':
      return isObject(part.usage)
    case 'finish':
      return typeof part.reason === 'string'
    case 'data':
      return typeof part.name === 'string' && 'data' in part
    case 'error':
      return 'error' in part
    case 'start':
      // Others name chunks `start`, too: it is a part only if it has no other fields.
      return hasOnly(part, /^(type|id|model|created)$/)
    default:
      return false
  }
}
