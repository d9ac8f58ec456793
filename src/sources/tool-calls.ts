/** Which tool call a piece belongs to, whatever the provider keys its calls by, and whether a call is whole. */
import type { Part, ToolCallPart } from '../types.js'
import { jsonOf } from './json.js'

/** What a provider keys its calls by: an index, an id, a content block; `undefined` where there is nothing. */
export type CallKey = string | number | undefined

/** What a call's first piece says, and what may be known of it from the beginning. */
export interface CallHead {
  id?: string | null | undefined
  name?: string | null | undefined
  /** The provider or the agent runs it. */
  executed?: boolean | undefined
  /** The input as its beginning has it: it counts if no piece of it comes. */
  given?: unknown
}

const NAMELESS = 'The call has no name.'

interface Call {
  readonly index: number
  /** Which answer of the run it is of. */
  readonly answer: number
  id: string | undefined
  name: string | undefined
  /** The pieces so far, and what stands open at their end. */
  input: string
  open: number
  /** The input that the beginning had, if it had one. */
  given: unknown
  /** The input is plain text: in JSON a string. */
  isText: boolean
  /** Each piece is all of the input so far. */
  isGrowing: boolean
  /** The latest piece, where each may be that, or a value within: which of them is seen at the end. */
  grown: string | undefined
  /** Whether a piece was told; before it the name is waited for. */
  isTold: boolean
  isDone: boolean
  isExecuted: boolean
  /** Nobody else is to run it: it is executed, rejected or answered. */
  isSettled: boolean
  /** It is rejected or answered. */
  isOver: boolean
}

/**
 * The tool calls of one run. A call is `waiting` for its name, then `told` piece by piece, then `done`: whole, rejected,
 * or answered.
 */
export class Calls {
  /** An agent runs the calls itself: no client is to. */
  areExecuted = false
  readonly #parts: Part[]
  /** The chunks are read one by one, without those before: what waits for a name would be lost. */
  readonly #isSingle: boolean
  #answer = 0
  /** Those of the answer at hand that are not whole yet: each is closed once, however often an answer says its end. */
  readonly #open = new Set<Call>()
  /** The latest of the answer at hand. */
  #last: Call | undefined
  /** The latest of the answer under each key. */
  readonly #keys = new Map<CallKey, Call>()
  /** Those of the answer by their ids. An id that comes again in the next answer is another call. */
  readonly #ids = new Map<string, Call>()
  /** All of the run by their ids, for what tools answer later. */
  readonly #all = new Map<string, Call>()
  /** The numbers that are given, and those of the user's own parts by what they call themselves. */
  readonly #taken = new Set<number>()
  readonly #own = new Map<number, { index: number; id: string | undefined }>()
  #next = 0
  /** Calls of this answer that a client is to run. */
  #waiting = 0

  constructor(parts: Part[], isSingle: boolean) {
    this.#parts = parts
    this.#isSingle = isSingle
  }

  /** Whether a client has a call to answer. */
  get isWaiting(): boolean {
    return this.#waiting > 0
  }

  /** Another answer begins: what keyed the calls of the last one keys others now. */
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

  /** Whether it is known and has a name: of a stream that is taken up in its middle the beginning may be missing. */
  isNamed(key: CallKey): boolean {
    return this.#keys.get(key)?.name !== undefined
  }

  /** Whether pieces of it may come. */
  isOpen(key: CallKey): boolean {
    return this.#keys.get(key)?.isDone === false
  }

  /** Whether the call under the key is whole and is this one, but for its id: some servers make another at the end. */
  isAgain(key: CallKey, name: string, value: unknown): boolean {
    const call = this.#keys.get(key)
    return call?.isDone === true && call.name === name && isSame(call.input, toText(value))
  }

  /** Another key of the same call: some servers say now one, now the other. */
  alias(key: CallKey, other: CallKey): void {
    const call = this.#keys.get(key)
    if (call) this.#keys.set(other, call)
  }

  /** The next piece of a call. */
  piece(key: CallKey, input: string, head: CallHead = {}): void {
    let { id, name } = clean(head)
    if (this.#isTwin(key, id, name, input)) id = undefined
    let call = this.#find(key, id, name, input)
    // Late.
    if (call?.isDone) return
    if (!call) {
      const last = key === undefined && id === undefined ? this.#keys.get(key) : undefined
      // Where calls have neither keys nor ids they come one after the other.
      if (last) this.#close(last)
      call = this.#create(key, id, name)
    }
    this.#know(key, call, id, name, head.executed)
    if (!isEmpty(head.given)) call.given = head.given
    // Where `{}` begins the input, or `null`, all of it was said before, there is none, or pieces follow; and some servers
    // say all of it so far again, with each piece or at the end. Only after these may it be a value within.
    let more: { replaces: true } | undefined
    if (call.input === '' && /^(\{\}|null)$/.test(input) && !this.#isSingle) {
      call.given ??= '{}'
      input = ''
    } else if (isWhole(call)) {
      // Nothing follows a whole value but all of it in other words, or another bracket.
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

  /** The whole value of a call, which may have come in pieces before. A text is the JSON of it. */
  whole(key: CallKey, value: unknown, head: CallHead = {}): void {
    if (value === 'null') value = {}
    const known = this.#callOf(key, head)
    if (known.isDone) return
    // Some servers leave it empty at its end.
    if (known.input !== '' && (!value || value === '{}' || value === '""')) {
      this.done(key)
      return
    }
    const text = typeof value === 'string' && (isJSON(value) || value.startsWith(known.input)) ? value : toText(value)
    // Whether pieces of it came before is not known of a chunk that is read alone.
    const more = this.#isSingle ? { done: true, replaces: true } : openIn(text) > 0 ? undefined : { done: true }
    if (text.startsWith(known.input)) this.#tell(known, text.slice(known.input.length), more)
    else if (isSame(known.input, text)) this.#tell(known, '', { done: true })
    else {
      // A repaired input: the pieces are no beginning of it.
      empty(known)
      this.#tell(known, text, known.isTold ? { done: true, replaces: true } : { done: true })
    }
  }

  /**
   * The provider says that the call is whole, which it also says where the model ran out of room in its middle; and some
   * gateways say it before its input.
   */
  done(key: CallKey): void {
    const call = this.#keys.get(key)
    if (call && (call.isText || call.given || isEnded(call))) this.#close(call)
  }

  /** The provider says that the answer is over, so that all its calls are whole. Returns whether they are. */
  allDone(): boolean {
    for (const call of this.#open) if (call.isText || call.open <= 0 || isEnded(call)) this.#close(call)
    return this.#open.size === 0
  }

  /** Nobody else is to run those that are open. */
  openAreExecuted(): void {
    for (const call of this.#open) {
      call.isExecuted = true
      this.#settle(call)
    }
  }

  /**
   * The agent is to run the call itself, when a person has agreed, say; without an id all that wait. `approval` is what the
   * answer of who is asked is to name; also of a call that was known to be run elsewhere.
   */
  postpone(id?: string, approval?: string): void {
    // The chunk of the call itself was read before, without this one.
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

  /** A person is asked whether the calls of a tool may run that wait. Their ids are what tells them apart. */
  ask(name: string): void {
    for (const call of this.#all.values()) if (!call.isSettled && call.name === name) this.postpone(call.id, call.id)
  }

  /** It says so, but what is no JSON yet may go on: some servers say their last pieces after their finish. */
  wholeDone(): void {
    for (const call of this.#open) if (this.#isSingle || call.given || isEnded(call)) this.#close(call)
  }

  /** The provider rejected the call. `input` is what it would have been called with, if that did not come before. */
  reject(key: CallKey, words: string, head: CallHead = {}, input?: unknown): void {
    const call = this.#callOf(key, head)
    this.#settle(call)
    call.isOver = true
    if (!call.isDone)
      this.#tell(call, call.input === '' && input !== undefined ? toText(input) : '', { done: true, error: words })
  }

  /** The calls of the answer at hand are taken back: nobody is to run them, and their ids are free. */
  takeBack(words: string): void {
    for (const call of new Set([...this.#keys.values(), ...this.#ids.values()])) {
      if (call.isTold && !call.isOver) this.#tell(call, '', { done: true, error: words })
      if (call.id !== undefined) this.#all.delete(call.id)
    }
    this.begin()
  }

  /** What a tool answered: its call is over, and no client is to run it. */
  result(id: string, output: unknown, name?: string, error?: string): void {
    if (typeof id !== 'string') throw new TypeError('The result of a tool has an id that is no text')
    const call = this.#all.get(id)
    if (call) {
      this.#settle(call)
      call.isOver = true
      // The last piece says it before the result does: a client would run the call in between.
      if (!call.isDone) {
        call.isExecuted = true
        this.#close(call)
      }
    }
    const known = word(name) ?? call?.name
    const head = { id, ...(known !== undefined && { name: known }) }
    this.#parts.push({ type: 'tool-result', ...head, output, ...(error !== undefined && { error }) })
  }

  /** A part that the user made: with the number it has, unless another call of the run has that. */
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

  /** The call that is told whole, or of which no more comes. */
  #callOf(key: CallKey, head: CallHead): Call {
    const { id, name } = clean(head)
    const call = this.#find(key, id, name) ?? this.#create(key, id, name)
    this.#know(key, call, id, name, head.executed)
    return call
  }

  /**
   * The call that a key and a head are of. Another id, or a name where nothing else tells calls apart, is another call, but
   * not in the middle of an input: some servers say the name with each piece, or make an id or a place for each.
   */
  #find(key: CallKey, id: string | undefined, name: string | undefined, piece?: string): Call | undefined {
    const known = id === undefined ? undefined : this.#ids.get(id)
    const last = this.#keys.get(key)
    const latest = this.#last
    if (known) return known
    if (id === undefined && name === undefined) {
      // What says nothing of itself goes on with the latest.
      const goesOn = key === undefined || (!this.#isSingle && latest && !latest.isDone && !isWhole(latest))
      return last ?? (goesOn ? latest : undefined)
    }
    if (!last || (id !== undefined && last.id === undefined && (key !== undefined || !last.name))) return last
    // Those that have ids have them in their first pieces.
    if (id === undefined && last.id !== undefined && last.name === name) return last
    const isOpen = !isWhole(last)
    const isAgain = name === undefined || !last.name || (piece && last.name === name && isOpen && last.input !== '')
    if (id !== undefined) return isAgain && isOpen ? last : undefined
    if (key === undefined) return isAgain && !last.isDone ? last : undefined
    const isRepeat = isAgain || (last.name === name && (!piece || isSame(last.input, piece)))
    return isRepeat || (isOpen && !last.isDone) ? last : undefined
  }

  /** Some servers give several calls one id: then their places tell, and the first keeps it. */
  #isTwin(key: CallKey, id: string | undefined, name: string | undefined, piece: string): boolean {
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

  /** Nothing more comes of it. */
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
    // The provider's own number, where it is free: who reads chunk by chunk knows no other.
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
    // The name is to be in the first piece. A call without one can be run by nobody.
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

/** Some servers say an empty text where there is nothing, and the SDK of Mistral, also within LangChain, the word "null" for an id. */
function clean({ id, name }: CallHead): { id: string | undefined; name: string | undefined } {
  return { id: word(id === 'null' ? undefined : id), name: word(name) }
}

/** @throws {TypeError} for what is neither a text, nor a number, nor nothing. */
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

/** What stands open at the end of a JSON text, from what stood open at its beginning: four for each bracket, two for a text. */
function openIn(text: string, open = 0): number {
  for (const character of text) {
    // One for a character that is escaped.
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

/** Whether what came is JSON: all pieces, or the last, where that has all of them. */
function isEnded({ input, grown = '' }: Call): boolean {
  return isJSON(input) || isJSON(grown)
}

/** Whether the pieces so far are all of an object. */
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
