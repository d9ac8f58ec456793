/** Which fields of a provider's chunk are not for the client? */

/** Fields that packages and gateways add to a chunk, and that belong to the request or lie around the answer. */
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
  'guardrails',
  'debug_output',
  'kv_transfer_params',
  'amazon-bedrock-trace',
  'providerData',
  'provider_metadata',
  'databricks_output',
  'custom_outputs',
  'bot_usage',
  'graph_data',
  'knowledge_base',
  'stack',
  'cwd',
])

/** The chunk without the fields that belong to the request: the same object if it has none of them. */
export function withoutRequest(chunk: object): object {
  if (!Object.keys(chunk).some((key) => ASIDE.has(key))) return chunk
  return Object.fromEntries(Object.entries(chunk).filter(([key]) => !ASIDE.has(key)))
}

/** The object with these fields set to their empty values. A field that it lacks is not added. */
export function emptied(object: object, fields: Record<string, unknown>): object {
  const isThere = ([key]: [string, unknown]) => key in object
  return { ...object, ...Object.fromEntries(Object.entries(fields).filter(isThere)) }
}
