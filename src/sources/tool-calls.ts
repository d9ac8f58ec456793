/** Which tool call does a piece belong to, whatever the provider keys its calls by, and is a call whole? */
import type { Part, ToolCallPart } from '../types.js'
import { jsonOf } from './json.js'

/** What a provider keys its calls by: an index, an id, a content block; `undefined` if it sends nothing. */
export type CallKey = string | number | undefined

/** What a call's first piece says, and what may be known about the call from the beginning. */
export interface CallHead {
  id?: string | null | undefined
  name?: string | null | undefined
  /** The provider or the agent runs the call. */
  executed?: boolean | undefined
  /** The input in the call's first piece: it counts if no pieces of it come. */
  given?: unknown
}

const NAMELESS = 'The call has no name.'

interface Call {
  readonly index: number
  /** The number of the answer in the run that the call belongs to. */
  readonly answer: number
  id: string | undefined
  name: string | undefined
  /** The pieces so far, and what is open at their end (see `openIn`). */
  input: string
  open: number
  /** The input in the call's first piece, if it had one. */
  given: unknown
  /** The input is plain text, sent as a JSON string. */
  isText: boolean
  /** Each piece repeats the whole input so far. */
  isGrowing: boolean
  /** The latest piece, if it may be the whole input so far or a value inside it: the end of the call decides. */
  grown: string | undefined
  /** Whether a piece went out. None does before the name is known. */
  isTold: boolean
  isDone: boolean
  isExecuted: boolean
  /** No client may run it: it is executed elsewhere, rejected or answered. */
  isSettled: boolean
  /** It is rejected or answered. */
  isOver: boolean
}

/**
 * The tool calls of one run. A call is `waiting` for its name, `told` piece by piece, then `done`: whole, rejected or
 * answered.
 */
export class Calls {
  /** An agent runs the calls itself: no client may. */
  areExecuted = false
  readonly #parts: Part[]
  /** Each chunk is read alone: a piece that waited for its name would be lost. */
  readonly #isSingle: boolean
  #answer = 0
  /**
   * The current answer's calls that are not whole yet. Each is closed once, however often the answer's end is reported.
   */
  readonly #open = new Set<Call>()
  /** The current answer's latest call. */
  #last: Call | undefined
  /** The current answer's latest call under each key. */
  readonly #keys = new Map<CallKey, Call>()
  /** The current answer's calls by id. An id that comes again in the next answer is another call. */
  readonly #ids = new Map<string, Call>()
  /** All calls of the run by id, for results that come later. */
  readonly #all = new Map<string, Call>()
  /** The numbers in use, and the user's own call parts by the `index` they came with. */
  readonly #taken = new Set<number>()
  readonly #own = new Map<number, { index: number; id: string | undefined }>()
  #next = 0
  /** How many calls of this answer a client must run. */
  #waiting = 0

  constructor(parts: Part[], isSingle: boolean) {
    this.#parts = parts
    this.#isSingle = isSingle
  }

  /** Whether a client has a call to run. */
  get isWaiting(): boolean {
    return this.#waiting > 0
  }

  /** Another answer begins: its keys mean other calls. */
  begin(): void {
    if (!this.#last) return
    this.#answer++
    this.#last = undefined
    this.#open.clear()
    this.#keys.clear()
    this.#ids.clear()
    this.#waiting = 0
  }

  has(key: CallKey): boolean {
    return this.#keys.has(key)
  }

  /** Whether the call is known and has a name: a stream that is read from its middle may lack the call's beginning. */
  isNamed(key: CallKey): boolean {
    return this.#keys.get(key)?.name !== undefined
  }

  /** Whether more pieces of the call may come. */
  isOpen(key: CallKey): boolean {
    return this.#keys.get(key)?.isDone === false
  }

  /**
   * Whether the call under the key is whole and equals this one, except for its id: some servers change it at the end.
   */
  isAgain(key: CallKey, name: string, value: unknown): boolean {
    const call = this.#keys.get(key)
    return call?.isDone === true && call.name === name && isSame(call.input, toText(value))
  }

  /** Adds another key for the same call: some servers use one key, then the other. */
  alias(key: CallKey, other: CallKey): void {
    const call = this.#keys.get(key)
    if (call) this.#keys.set(other, call)
  }

  /** The next piece of a call. */
  piece(key: CallKey, input: string, head: CallHead = {}): void {
    let { id, name } = clean(head)
    if (this.#sharesId(key, id, name, input)) id = undefined
    let call = this.#find(key, id, name, input)
    // The piece is too late.
    if (call?.isDone) return
    if (!call) {
      const last = key === undefined && id === undefined ? this.#keys.get(key) : undefined
      // Calls without keys and ids follow each other.
      if (last) this.#close(last)
      call = this.#create(key, id, name)
    }
    this.#know(key, call, id, name, head.executed)
    if (!isEmpty(head.given)) call.given = head.given
    // A first `{}` or `null` tells nothing: the input may be in the call's first piece, be empty, or follow in pieces.
    // Some servers repeat the whole input so far, with each piece or at the end. Only after `:`, `[` or `,` may such a
    // piece be a value inside the input.
    let more: { replaces: true } | undefined
    if (call.input === '' && /^(\{\}|null)$/.test(input) && !this.#isSingle) {
      call.given ??= '{}'
      input = ''
    } else if (isWhole(call)) {
      // After a whole value comes only the whole value again, perhaps another one, or a surplus bracket.
      if (/^\s*\{/.test(input) && isJSON(input) && !isSame(call.input, input)) {
        empty(call)
        more = { replaces: true }
      } else input = ''
    } else if (call.input.startsWith('{') && input.startsWith(call.input)) {
      call.isGrowing ||= !/[:[,]\s*$/.test(call.input)
      if (call.isGrowing) input = input.slice(call.input.length)
      else call.grown = input
    } else if (call.grown !== undefined) call.grown = input.startsWith(call.grown) ? input : undefined
    this.#tell(call, input, more)
  }

  /** The next piece of an input that is plain text. */
  text(key: CallKey, text: string, head?: CallHead): void {
    const before = this.#keys.get(key)
    const isNext = !before || before.isDone
    this.piece(key, `${isNext || before.input === '' ? '"' : ''}${JSON.stringify(text).slice(1, -1)}`, head)
    const call = this.#keys.get(key)
    if (call) call.isText = true
  }

  /** The whole value of a call, pieces of which may have come before. A string is its JSON text. */
  whole(key: CallKey, value: unknown, head: CallHead = {}): void {
    if (value === 'null') value = {}
    const known = this.#callOf(key, head)
    if (known.isDone) return
    // Some servers send an empty value at the end.
    if (known.input !== '' && (!value || value === '{}' || value === '""')) {
      this.done(key)
      return
    }
    const text = typeof value === 'string' && (isJSON(value) || value.startsWith(known.input)) ? value : toText(value)
    // In a chunk that is read alone, nobody knows whether pieces came before.
    const more = this.#isSingle ? { done: true, replaces: true } : openIn(text) > 0 ? undefined : { done: true }
    if (text.startsWith(known.input)) this.#tell(known, text.slice(known.input.length), more)
    else if (isSame(known.input, text)) this.#tell(known, '', { done: true })
    else {
      // The input was repaired: it does not begin with the pieces.
      empty(known)
      this.#tell(known, text, known.isTold ? { done: true, replaces: true } : { done: true })
    }
  }

  /**
   * The provider says that the call is whole. It may say so although the model ran out of tokens in the middle of the
   * call, and some gateways say so before the input.
   */
  done(key: CallKey): void {
    const call = this.#keys.get(key)
    if (call && (call.isText || call.given || isEnded(call))) this.#close(call)
  }

  /** The provider says that the answer is over, so all its calls are whole. Returns whether they are. */
  allDone(): boolean {
    for (const call of this.#open) if (call.isText || call.open <= 0 || isEnded(call)) this.#close(call)
    return this.#open.size === 0
  }

  /** The open calls have been run elsewhere: no client may run them. */
  openAreExecuted(): void {
    for (const call of this.#open) {
      call.isExecuted = true
      this.#settle(call)
    }
  }

  /**
   * The agent will run the call itself, for example after a person agrees; without an `id`, all calls that wait.
   * `approval` is the id that the person's answer must name, and may also be given for a call that is known to run
   * elsewhere.
   */
  postpone(id?: string, approval?: string): void {
    // The call's own chunk was read alone, before this one.
    if (this.#isSingle && id !== undefined && !this.#all.has(id))
      this.#know(undefined, this.#create(undefined, id, undefined), id, undefined)
    for (const call of this.#all.values()) {
      const isPast = call.isSettled && (approval === undefined || call.isOver)
      if (isPast || (id !== undefined && call.id !== id)) continue
      call.isExecuted = true
      this.#settle(call)
      const more = { done: true, ...(approval !== undefined && { approval }) }
      if (call.isDone) this.#tell(call, '', more)
      else this.#close(call, more)
    }
  }

  /** A person is asked whether a tool's waiting calls may run. Each call's id is also its approval id. */
  ask(name: string): void {
    for (const call of this.#all.values()) if (!call.isSettled && call.name === name) this.postpone(call.id, call.id)
  }

  /**
   * The finish reason says that the calls are whole. One whose input is not JSON yet stays open: some servers send the
   * last pieces after the finish.
   */
  wholeDone(): void {
    for (const call of this.#open) if (this.#isSingle || call.given || isEnded(call)) this.#close(call)
  }

  /** The provider rejected the call. `input` is what it would have been called with, if no pieces came before. */
  reject(key: CallKey, words: string, head: CallHead = {}, input?: unknown): void {
    const call = this.#callOf(key, head)
    this.#settle(call)
    call.isOver = true
    if (!call.isDone)
      this.#tell(call, call.input === '' && input !== undefined ? toText(input) : '', { done: true, error: words })
  }

  /** The calls of the current answer are taken back: nobody may run them, and their ids are free again. */
  takeBack(words: string): void {
    for (const call of new Set([...this.#keys.values(), ...this.#ids.values()])) {
      if (call.isTold && !call.isOver) this.#tell(call, '', { done: true, error: words })
      if (call.id !== undefined) this.#all.delete(call.id)
    }
    this.begin()
  }

  /** What a tool answered. Its call is over: no client may run it. */
  result(id: string, output: unknown, name?: string, error?: string): void {
    if (typeof id !== 'string') throw new TypeError('The result of a tool has an id that is no text')
    const call = this.#all.get(id)
    if (call) {
      this.#settle(call)
      call.isOver = true
      // The call's last piece goes out before the result, and must say so: a client would run the call in between.
      if (!call.isDone) {
        call.isExecuted = true
        this.#close(call)
      }
    }
    const known = word(name) ?? call?.name
    const head = { id, ...(known !== undefined && { name: known }) }
    this.#parts.push({ type: 'tool-result', ...head, output, ...(error !== undefined && { error }) })
  }

  /** A call part of the user's own. It keeps its number unless another call of the run has that. */
  own(part: ToolCallPart): ToolCallPart {
    if (this.#isSingle) return part
    const { index: said, id } = part
    let known = this.#own.get(said)
    if (!known || (id !== undefined && known.id !== undefined && id !== known.id)) {
      known = { index: this.#number(said), id }
      this.#own.set(said, known)
    }
    known.id ??= id
    return known.index === said ? part : { ...part, index: known.index }
  }

  /** The call that comes whole, or of which nothing more comes. */
  #callOf(key: CallKey, head: CallHead): Call {
    const { id, name } = clean(head)
    const call = this.#find(key, id, name) ?? this.#create(key, id, name)
    this.#know(key, call, id, name, head.executed)
    return call
  }

  /**
   * The call that a key and a head belong to. Another name is another call's; another id, too, unless the piece stands
   * in the middle of an input: some servers change the id, or repeat the name, in each piece.
   */
  #find(key: CallKey, id: string | undefined, name: string | undefined, piece?: string): Call | undefined {
    const known = id === undefined ? undefined : this.#ids.get(id)
    if (known) return known
    const last = this.#keys.get(key)
    const latest = this.#last
    if (id === undefined && name === undefined) {
      // A piece without id and name continues the latest call.
      const goesOn = key === undefined || (!this.#isSingle && latest && !latest.isDone && !isWhole(latest))
      return last ?? (goesOn ? latest : undefined)
    }
    if (!last) return
    const isNamed = name !== undefined && last.name !== undefined
    const hasOtherId = id !== undefined && last.id !== undefined
    if (isNamed && name !== last.name) return
    if (!last.isDone && !isWhole(last)) return isNamed && hasOtherId && !(piece && last.input) ? undefined : last
    if (!isNamed || hasOtherId) return hasOtherId ? undefined : last
    // The whole call may be repeated. One with an id has it in its first piece.
    const isRepeat = key !== undefined && (!piece || isSame(last.input, piece))
    return last.id !== undefined || isRepeat ? last : undefined
  }

  /**
   * Some servers give several calls the same id: then their index tells them apart, and the first call keeps the id.
   */
  #sharesId(key: CallKey, id: string | undefined, name: string | undefined, piece: string): boolean {
    const known = id === undefined ? undefined : this.#ids.get(id)
    const last = this.#keys.get(key)
    if (!known || key === undefined) return false
    if (last && last !== known) return last.id === undefined
    if (name === undefined) return false
    if (known.name !== name) return !last || isWhole(known)
    return !last && isWhole(known) && !isSame(known.input, piece)
  }

  #know(key: CallKey, call: Call, id: string | undefined, name: string | undefined, executed?: boolean): void {
    call.id ??= id
    call.name ??= name
    this.#keys.set(key, call)
    if (call.id !== undefined) {
      this.#ids.set(call.id, call)
      this.#all.set(call.id, call)
    }
    if (!(executed ?? this.areExecuted)) return
    call.isExecuted = true
    this.#settle(call)
  }

  /** Nothing more of the call comes. */
  #close(call: Call, more: Pick<ToolCallPart, 'done' | 'approval'> = { done: true }): void {
    if (call.isDone) return
    const { input, given, isText, grown } = call
    if (grown !== undefined && !isJSON(input) && isJSON(grown)) {
      empty(call)
      this.#tell(call, grown, { ...more, replaces: true })
      return
    }
    const rest = input === '' && given !== undefined ? toText(given) : isText ? '"' : ''
    this.#tell(call, rest, more)
  }

  #settle(call: Call): void {
    if (call.isSettled) return
    call.isSettled = true
    if (call.answer === this.#answer) this.#waiting--
  }

  #create(key: CallKey, id: string | undefined, name: string | undefined): Call {
    // The provider's own number if it is free: a reader of single chunks knows no other.
    const index = this.#number(typeof key === 'number' ? key : undefined)
    const call = {
      index,
      answer: this.#answer,
      id,
      name,
      input: '',
      open: 0,
      given: undefined,
      isText: false,
      isGrowing: false,
      grown: undefined,
      isTold: false,
      isDone: false,
      isExecuted: false,
      isSettled: false,
      isOver: false,
    }
    this.#open.add(call)
    this.#last = call
    this.#waiting++
    return call
  }

  #number(wanted: number | undefined): number {
    while (this.#taken.has(this.#next)) this.#next++
    const index = wanted !== undefined && !this.#taken.has(wanted) ? wanted : this.#next
    this.#taken.add(index)
    return index
  }

  #tell(call: Call, input: string, more?: Pick<ToolCallPart, 'done' | 'replaces' | 'error' | 'approval'>): void {
    call.input += input
    call.open = openIn(input, call.open)
    if (more?.done) {
      call.isDone = true
      this.#open.delete(call)
    }
    // The name must be in the first piece. Nobody can run a call without one.
    if (!call.isTold && call.name === undefined && !this.#isSingle) {
      if (!more) return
      if (!call.isSettled) more = { ...more, error: NAMELESS }
      this.#settle(call)
    }
    const isFirst = !call.isTold
    call.isTold = true
    this.#parts.push({
      type: 'tool-call',
      index: call.index,
      ...(isFirst && call.id !== undefined && { id: call.id }),
      ...(isFirst && call.name !== undefined && { name: call.name }),
      input: isFirst ? call.input : input,
      ...(call.isExecuted && (isFirst || more) && { executed: true }),
      ...more,
    })
  }
}

/** Some servers send an empty string for nothing, and Mistral's SDK (also within LangChain) "null" for an id. */
function clean({ id, name }: CallHead): { id: string | undefined; name: string | undefined } {
  return { id: word(id === 'null' ? undefined : id), name: word(name) }
}

/** @throws {TypeError} for a value that is not a string, a number, or absent. */
function word(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'string') throw new TypeError('A tool call has an id or a name that is no text')
  return value
}

function isEmpty(value: unknown): boolean {
  return !value || (typeof value === 'object' && Object.keys(value).length === 0)
}

function toText(value: unknown): string {
  return typeof value === 'string' && isJSON(value) ? value : JSON.stringify(value ?? {})
}

/**
 * What is open at the end of a JSON text, from what was open before: 4 per bracket, 2 for a string, 1 for an escape.
 */
function openIn(text: string, open = 0): number {
  for (const character of text) {
    // The character is escaped.
    if (open & 1) open--
    else if (open & 2) open += character === '\\' ? 1 : character === '"' ? -2 : 0
    else if (character === '"') open += 2
    else if (character === '{' || character === '[') open += 4
    else if (character === '}' || character === ']') open -= 4
  }
  return open
}

/** Another input begins. */
function empty(call: Call): void {
  call.input = ''
  call.open = 0
}

/** Whether the input is JSON: its pieces together, or the last one alone if that repeats the whole. */
function isEnded({ input, grown = '' }: Call): boolean {
  return isJSON(input) || isJSON(grown)
}

/** Whether the pieces so far make a whole object. */
function isWhole({ open, input }: Call): boolean {
  return open === 0 && input.startsWith('{') && isJSON(input)
}

function isJSON(text: string): boolean {
  return jsonOf(text) !== undefined
}

/** Whether two JSON texts say the same. */
function isSame(a: string, b: string): boolean {
  const value = jsonOf(a)
  return value !== undefined && canonical(value) === canonical(jsonOf(b))
}

function canonical(value: unknown): string | undefined {
  return JSON.stringify(value, (_, inner) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
