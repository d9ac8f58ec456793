/** Which keys does a chunk have? */
import { isObject } from '../errors.js'

/** Whether the value is an object with at least one of the keys, its own or its class's. */
export function hasKey(value: unknown, ...keys: string[]): boolean {
  return isObject(value) && keys.some((key) => key in value)
}

/** Whether the object has no keys but these. */
export function hasOnly(object: object, keys: RegExp): boolean {
  return Object.keys(object).every((key) => keys.test(key))
}
