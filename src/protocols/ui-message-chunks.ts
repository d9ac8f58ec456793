/** How is a chunk written, so that its reader does not end the chat at it? */

import type { DataPart } from '../types.js'
import { dataFrame, toJson } from './frames.js'

/** A part of data, as `data-<name>`. */
export function dataPartFrame({
  name,
  data,
  id,
  transient,
}: Omit<DataPart, 'type' | 'id'> & { id?: string | undefined }): string {
  return frame({
    type: `data-${name}`,
    ...(id !== undefined && { id }),
    data,
    ...(transient && { transient }),
  })
}

/** The AI SDK rejects these keys at any depth, and the whole chat would fail. */
function isRefused(key: string, value: unknown): boolean {
  return key === '__proto__' || (key === 'constructor' && Object.hasOwn(Object(value), 'prototype'))
}

/** The input of a call with such a key is the error of that call. */
export function parseInput(input: string): unknown {
  return JSON.parse(input, (key, value) => {
    if (isRefused(key, value)) throw new TypeError(key)
    return value
  })
}

/** A chunk without such keys, wherever they are from. */
export function frame(chunk: object): string {
  const json = toJson(chunk)
  if (!/"(__proto__|constructor)"/.test(json)) return dataFrame(json)
  return dataFrame(toJson(JSON.parse(json, (key, value) => (isRefused(key, value) ? undefined : value))))
}
