// Numbers that are the same for the same seed and exchange, in every process and on every machine.

/** What a plan draws from. */
export class Random {
  #state

  constructor(...seeds) {
    this.#state = 0x9e3779b9
    for (const seed of seeds) {
      this.#state = Math.imul(this.#state ^ seed, 0x85ebca6b) ^ (this.#state >>> 15)
      this.next()
    }
  }

  /** From 0 to 1, without 1. The generator is mulberry32. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let value = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296
  }

  /** An integer from `from` to `to`, both included. */
  integer(from, to) {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  chance(probability) {
    return this.next() < probability
  }

  pick(list) {
    return list[this.integer(0, list.length - 1)]
  }

  /** A key of an object whose values have a `weight`. */
  weighted(table) {
    const entries = Object.entries(table)
    let rest = this.next() * entries.reduce((sum, [, { weight }]) => sum + weight, 0)
    for (const [key, { weight }] of entries) {
      rest -= weight
      if (rest < 0) return key
    }
    return entries.at(-1)[0]
  }

  bytes(length) {
    return Buffer.from(Array.from({ length }, () => this.integer(0, 255)))
  }
}
