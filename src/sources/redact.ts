/** What of a provider's chunk is not for the client? */

/** What packages and gateways hang on a chunk that is the request's, or lies around the answer. */
const ASIDE = new Set([
  'request',
  'headers',
  'responseHeaders',
  'sdkHttpResponse',
  'system',
  'instructions',
  'messages',
  'configurable',
  'prompt',
  'prompt_token_ids',
  'prompt_logprobs',
  '__verbose',
  'rawEvent',
  'hook_results',
  'amazon-bedrock-trace',
  'providerData',
  'stack',
  'cwd',
])

/** A chunk of a provider's wire without what is the request's. One that has nothing of it is itself. */
export function withoutRequest(chunk: object): object {
  if (!Object.keys(chunk).some((key) => ASIDE.has(key))) return chunk
  return Object.fromEntries(Object.entries(chunk).filter(([key]) => !ASIDE.has(key)))
}

/** An object with some of its fields as they are when they are empty. Those it lacks it does not get. */
export function emptied(object: object, fields: Record<string, unknown>): object {
  const isThere = ([key]: [string, unknown]) => key in object
  return { ...object, ...Object.fromEntries(Object.entries(fields).filter(isThere)) }
}
