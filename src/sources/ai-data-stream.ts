/** What does a line of the data stream say, as `toDataStreamResponse()` of the AI SDK 4 sends it? */

/** How a data stream begins: with a step, text, reasoning, the application's data or a failure. */
export const DATA_STREAM = /^(f:\{"messageId":|[03g]:"|[28]:\[)/
/** A text that is too short to tell, but may become such a beginning. */
export const MAY_BE_DATA_STREAM = /^([0238fg]:?|f:\{"?\w{0,9}"?)$/

type Fields = Record<string, unknown>

/** The code of a line → the chunk of the full stream that says the same. */
const CHUNKS: Record<string, (value: never) => object> = {
  0: (textDelta: string) => ({ type: 'text-delta', textDelta }),
  2: (data: unknown) => ({ type: 'data', name: 'data', data }),
  3: (error: unknown) => ({ error }),
  8: (data: unknown) => ({ type: 'data', name: 'annotations', data }),
  9: (call: Fields) => ({ type: 'tool-call', ...call }),
  a: (result: Fields) => ({ type: 'tool-result', args: undefined, ...result }),
  b: (call: Fields) => ({ type: 'tool-call-streaming-start', ...call }),
  c: (piece: Fields) => ({ type: 'tool-call-delta', ...piece }),
  d: (end: Fields) => ({ type: 'finish', ...end }),
  g: (textDelta: string) => ({ type: 'reasoning', textDelta }),
  h: (source: unknown) => ({ type: 'source', source }),
  i: (redacted: Fields) => ({ type: 'redacted-reasoning', ...redacted }),
  j: (signed: Fields) => ({ type: 'reasoning-signature', ...signed }),
  k: ({ data, mimeType }: Fields) => ({ type: 'file', base64: data, mimeType }),
}

/** The chunk of a line; `undefined` for the beginning and the end of a step. */
export function dataStreamChunk(line: string): object | undefined {
  const [, code = '', json = ''] = /^(\w):(.*)$/.exec(line.trim()) ?? []
  return CHUNKS[code]?.(JSON.parse(json) as never)
}
