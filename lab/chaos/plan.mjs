// What happens to a run, from the seed and its number alone. When it happens is up to the machine.

/** The places at which a POST can be made to wait: before its two steps, between them, and before its answer. */
const POINTS = ['accepted', 'between', 'answering']
const WORDS = [
  'tide',
  'und',
  'größer',
  '🙂',
  'data: [DONE]',
  '\n\nid: x:1\n',
  '\r',
  '{"text":"',
  'naïve',
  '海',
  ': ',
  'ends',
]

/** Numbers from 0 to 1, the same for the same seeds. */
export function randomOf(...seeds) {
  let state = seeds.reduce((hash, seed) => Math.imul(hash ^ seed, 0x9e3779b1) ^ (hash >>> 15), 0x5eed)
  return () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 4294967296
  }
}

export function planOf(seed, index) {
  const random = randomOf(seed, index)
  const upTo = (limit) => Math.floor(random() * limit)
  const runId = `chaos-run-${seed}-${String(index).padStart(4, '0')}`
  // Not left to chance: each kind comes in every ten runs, each point in every fifteen, with each order in thirty.
  const kind = index % 5
  const turn = Math.floor(index / 5)
  const isStopped = kind === 2 || (kind === 3 && turn % 4 === 0)
  const isFollowed = kind === 3 || (kind === 2 && turn % 4 === 0)
  // One that is stopped has so much before it then that the stop cannot be too late.
  const count = isStopped ? 120 : 1 + upTo(upTo(3) === 0 ? 20 : 120)
  const pace = isStopped ? 40 : upTo(40)
  const tokens = Array.from({ length: count }, (_, n) => `${n}:${WORDS[upTo(WORDS.length)]} `)
  return {
    runId,
    owner: `user-${index % 7}`,
    prompt: `What is the answer of ${runId}?`,
    tokens,
    firstMs: upTo(400),
    /** Every third token comes with the one before. */
    pauseMs: (n) => (n % 3 === 2 ? 0 : pace),
    afterMs: upTo(1500),
    order: turn % 2 ? 'enqueue-first' : 'create-first',
    hold: kind === 0 ? { point: POINTS[turn % 3], ending: turn % 4 === 3 ? 'cut' : 'kill' } : undefined,
    stopAt: isStopped ? upTo(30) : undefined,
    followAt: isFollowed ? upTo(isStopped ? 40 : tokens.length + 1) : undefined,
    /** Stopped before it is asked: the answer to that is there before the question is sent. */
    isStoppedEarly: kind === 4 && turn % 3 === 1,
    /** How many bytes of answers each connection lets through before it is cut: with -1 not even the request. */
    cuts: cuts(kind === 0 ? [Number.POSITIVE_INFINITY] : []),
    followerCuts: cuts([]),
  }

  function cuts(first) {
    const eighth = 50 + tokens.length * 10
    return [...first, ...Array.from({ length: Math.max(0, upTo(7) - 2) }, () => upTo(9 * eighth) - eighth)]
  }
}
