/** Which dialect is a stream in, where is its text, and which package reads it if this one does not? */

import { isObject, RelayError } from '../errors.js'
import { serverError } from './wire-errors.js'

/** The fields of an event's data that are read. */
interface Json {
  type?: unknown
  text?: unknown
  error?: unknown
  choices?: unknown
  delta?: { type?: unknown; text?: unknown }
  [key: string]: unknown
}

/** One row of the table. */
export interface Dialect {
  /** Its name. */
  readonly name: string
  /** What can read it: named in errors. */
  readonly reader: string
  /**
   * Whether its events are named on the wire, by their types. In other dialects a named event is the application's own.
   */
  readonly isNamed?: boolean
  /** Whether an event is in this dialect. */
  is(json: Json): unknown
  /** The text in an event. If absent, this package does not read the dialect. */
  text?(json: Json): unknown
  /** Whether an event ends the answer, if something other than `[DONE]` does. */
  isEnd?(json: Json): boolean
}

const typed =
  (types: RegExp) =>
  ({ type }: Json) =>
    typeof type === 'string' && types.test(type)

export const TEXT: Dialect = {
  name: 'text()',
  reader: 'readText',
  is: ({ type, text }) => type === undefined && typeof text === 'string',
  text: ({ text }) => text,
}

export const PARTS: Dialect = {
  name: 'parts()',
  reader: 'readParts',
  is: (json) =>
    typed(/^(text|reasoning|tool-(call|result)|data|usage|finish)$/)(json) ||
    // With only a type it may be the AI SDK's as well.
    (json.type === 'start' && (json.id ?? json.model ?? json.created) !== undefined),
  text: ({ type, text }) => (type === 'text' ? text : undefined),
}

/** The first row that an event matches is the stream's dialect. A row that resembles another one stands before it. */
const DIALECTS: readonly Dialect[] = [
  TEXT,
  PARTS,
  {
    name: 'OpenAI’s chat chunks',
    reader: 'the package openai',
    is: ({ choices }) => Array.isArray(choices),
    text: ({ choices }) => {
      // The answer is the first choice. A content filter's verdict has no choices.
      const { delta, text, index } =
        (choices as { delta?: Record<string, unknown>; text?: unknown; index?: unknown }[])[0] ?? {}
      const said = index ? undefined : delta?.content || delta?.refusal || text
      // Models that think say it in blocks, at Mistral and Databricks.
      return Array.isArray(said) ? said.map((block) => block?.text ?? '').join('') : said
    },
  },
  {
    name: 'Anthropic’s events',
    reader: 'the package @anthropic-ai/sdk',
    isNamed: true,
    is: typed(/^(message_(start|delta|stop)|content_block_(start|delta|stop))$/),
    text: ({ delta }) => (delta?.type === 'text_delta' ? delta.text : undefined),
    isEnd: ({ type }) => type === 'message_stop',
  },
  {
    name: 'OpenAI’s Responses',
    reader: 'the package openai',
    isNamed: true,
    is: typed(/^response\./),
  },
  {
    name: 'AG-UI',
    reader: 'the package @ag-ui/client',
    is: typed(/^[A-Z]+(_[A-Z]+)+$/),
  },
  {
    name: 'Cohere’s events',
    reader: 'the package cohere-ai',
    isNamed: true,
    is: typed(/^(message-start|content-(start|delta))$/),
  },
  {
    name: 'the AI SDK’s UI messages',
    reader: 'useChat of the AI SDK',
    is: (json) =>
      typed(/^((start|finish)-step|(text|reasoning|tool-input)-(start|delta|end|available)|message-metadata|data-.+)$/)(
        json,
      ) ||
      (json.type === 'start' && typeof json.messageId === 'string'),
  },
  {
    name: 'Gemini’s chunks',
    reader: 'the package @google/genai',
    is: ({ candidates }) => Array.isArray(candidates),
  },
]

/** The dialect that an event shows, if it shows one. */
export function dialectOf(json: unknown, event: string | undefined): Dialect | undefined {
  if (!isObject(json)) return
  const isOfType = event === (json as Json).type
  return DIALECTS.find(({ isNamed, is }) => (event === undefined || (isNamed && isOfType)) && is(json as Json))
}

/** The failure that a provider reports in a chunk without an event name. */
export function failureIn(json: unknown, data: string): RelayError | undefined {
  const error = isObject(json) && (json as Json).error
  if (isObject(error) && typeof (error as Json).message === 'string')
    return serverError(data, 'upstream-failure', 'The server reported a failure')
}

/** The error for a dialect that a function of this package does not read. */
export function notRead(what: string, { name, reader }: Dialect): RelayError {
  return new RelayError('invalid-source', `${what} does not read ${name}: read them with ${reader}, or with parseSSE`)
}
