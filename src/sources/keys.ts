/** Which keys has a chunk? */
import { isObject } from '../errors.js'

/** Whether it is an object that has one of them, itself or by its class. */
export function hasKey(value: unknown, ...keys: string[]): boolean {
  return isObject(value) && keys.some((key) => key in value)
}

/** Whether it has no others. */
export function hasOnly(object: object, keys: RegExp): boolean {
  return Object.keys(object).every((key) => keys.test(key))
}
