/** How is a chunk written so that its reader does not end the chat? */

import type { DataPart } from '../types.js'
import { dataFrame, toJson } from './frames.js'

/** A data part, as `data-<name>`. */
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

/** Whether the AI SDK rejects the key. It does so at any depth, and the whole chat would fail. */
function isRefused(key: string, value: unknown): boolean {
  return key === '__proto__' || (key === 'constructor' && Object.hasOwn(Object(value), 'prototype'))
}

/** The value of a call's input. Throws at such a key, so that the error is that call's only. */
export function parseInput(input: string): unknown {
  return JSON.parse(input, (key, value) => {
    if (isRefused(key, value)) throw new TypeError(key)
    return value
  })
}

/** The frame of a chunk, without such keys. */
export function frame(chunk: object): string {
  const json = toJson(chunk)
  if (!/"(__proto__|constructor)"/.test(json)) return dataFrame(json)
  return dataFrame(toJson(JSON.parse(json, (key, value) => (isRefused(key, value) ? undefined : value))))
}
