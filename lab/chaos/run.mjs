// One run of the chaos: what became of it, and whether that is right.

import { LOSSES } from './store.mjs'

/** How long a run counts as alive after its worker was last heard, and how long a created one waits for a worker. */
export const LEASE_MS = 3000
export const START_MS = 6000
/** What it may take a reader to hear of the loss besides two leases, on a machine that is busy. */
const LOST_MARGIN_MS = 2000
/** What a stop may take; a machine that is busy is no failure, so past this it is counted, and past that it fails. */
export const STOP_MS = 200
const STOP_LIMIT_MS = 2000

export class ChaosRun {
  /** What fails in its round, and from when to when. */
  trouble = ''
  troubleMs
  /** What Redis itself has lost of it, which nobody can make up for: sentences. */
  apart = []
  /** How often the upstream was asked, the last time of it, how many of those are open, how many tokens were sent. */
  asked = 0
  askedAt
  open = 0
  sent = 0
  /** When the upstream had sent all, and when it was left or done with. */
  finishedAt
  closedAt
  startedAt
  /** When the worker was killed, if the run was on its way then. */
  killedAt
  /** When the DELETE was answered, and how long after that the upstream was left: before it, if negative. */
  stopAnsweredAt
  stopMs
  /** Whether the DELETE went to another process than the one that was read from. */
  isStoppedElsewhere = false
  /** Whether its question was made to wait on its way. */
  wasHeld = false
  isOver = false
  /** The reader, and the follower if there is one. */
  readings = []
  #waiting = new Set()

  constructor(plan) {
    this.plan = plan
  }

  changed() {
    for (const look of this.#waiting) look()
  }

  /** Resolves when this holds, now or after a later `changed()`. */
  until(holds) {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }

  /** Resolves when the upstream has sent that many tokens, or when there is nothing to wait for. */
  reached(tokens) {
    return this.until(() => this.isOver || this.finishedAt !== undefined || (this.asked > 0 && this.sent >= tokens))
  }

  /** What is wrong with it: sentences. */
  verify() {
    const { asked, killedAt, readings, plan } = this
    const wrong = []
    const isLossy = LOSSES.includes(this.trouble)
    // A worker that stands still takes no job in time, and readers give up asking.
    const isNeverAsked = asked === 0 && (killedAt !== undefined || plan.isStoppedEarly || this.trouble === 'frozen')
    if (plan.isStoppedEarly && asked > 0) {
      const list = isLossy ? this.apart : wrong
      list.push(`expected the upstream not to be asked after an answered stop; it was ${asked} times`)
    } else if (asked !== 1 && !isNeverAsked)
      (isLossy ? this.apart : wrong).push(`expected the upstream to be asked once; it was ${asked} times`)
    readings.forEach((reading, index) => {
      const who = index === 0 ? 'the reader' : 'the follower'
      wrong.push(...this.#verifyReading(reading, who))
    })
    const outcomes = new Set(readings.map(({ outcome }) => outcome))
    if (outcomes.size > 1)
      (isLossy ? this.apart : wrong).push(
        `expected all readers to end alike; they ended with ${[...outcomes].join(' and ')}`,
      )
    if (this.#isStopped && killedAt === undefined && asked > 0 && !plan.isStoppedEarly) {
      this.stopMs = (this.open > 0 ? Number.POSITIVE_INFINITY : this.closedAt) - this.stopAnsweredAt
      // A worker that stands still is told when it goes on.
      const [, thawedAt] = this.trouble === 'frozen' && this.troubleMs ? this.troubleMs : []
      const lateMs = thawedAt > this.stopAnsweredAt ? thawedAt - this.stopAnsweredAt : 0
      // Where the channel was cut, the next sign of the producer brings it.
      const limit = STOP_LIMIT_MS + lateMs + (this.trouble === 'apis' || this.trouble === 'worker' ? 0 : LEASE_MS)
      if (this.stopMs > limit) {
        ;(isLossy ? this.apart : wrong).push(
          `expected the upstream to be left within ${STOP_LIMIT_MS} ms of the stop; it took ${this.stopMs} ms`,
        )
      }
    }
    return wrong
  }

  #verifyReading(reading, who) {
    const { tokens } = this.plan
    const { outcome, received, mistakes, answers, notFound, lost, error } = reading
    const allowed = this.#allowed()
    const wrong = []
    if (!allowed.includes(outcome)) {
      const counts = `${answers} answers, ${notFound} times not found, ${lost} times lost`
      wrong.push(
        `expected ${who} to end with ${allowed.join(' or ')}; it ended with ${outcome}, after ${received} of ${tokens.length} tokens (${counts}): ${error?.stack}`,
      )
    }
    if (outcome === 'done' && received !== tokens.length) {
      wrong.push(`expected ${who} to get ${tokens.length} tokens; it got ${received}`)
    }
    for (const mistake of mistakes.slice(0, 3)) wrong.push(`expected ${who} to get every token in order; ${mistake}`)
    if (this.#hasWaited(reading)) {
      reading.lostMs = reading.lostAt - this.killedAt
      if (reading.lostMs > 2 * LEASE_MS + LOST_MARGIN_MS) {
        wrong.push(
          `expected ${who} to be told of the loss within ${2 * LEASE_MS} ms and ${LOST_MARGIN_MS} more; it took ${reading.lostMs} ms`,
        )
      }
    }
    return wrong
  }

  /** How its readers may end. */
  #allowed() {
    const { asked, finishedAt, killedAt, stopAnsweredAt } = this
    const wasCut = killedAt !== undefined && asked > 0 && finishedAt === undefined && !this.#isStopped
    const allowed = [wasCut ? 'producer-lost' : this.#isStopped ? 'stopped' : 'done']
    // What was at its end may have gone the other way.
    if (killedAt !== undefined && !wasCut) allowed.push('producer-lost')
    if (stopAnsweredAt !== undefined && !this.#isStopped) allowed.push('stopped')
    if (this.plan.isStoppedEarly) allowed.push('stopped', 'producer-lost')
    if (this.trouble === 'frozen') allowed.push('producer-lost')
    // What Redis lost is gone; a stop that it lost did not happen.
    if (LOSSES.includes(this.trouble)) allowed.push('cursor-gone', 'run-not-found', 'producer-lost', 'done', 'stopped')
    return allowed
  }

  /** Whether the stop came so early that it cannot have been too late. */
  get #isStopped() {
    const { finishedAt, stopAnsweredAt } = this
    return stopAnsweredAt !== undefined && !(finishedAt < stopAnsweredAt + STOP_LIMIT_MS + this.#troubleLimit)
  }

  get #troubleLimit() {
    return this.trouble === 'apis' || this.trouble === 'worker' ? 0 : LEASE_MS * 4
  }

  /** Whether it was connected to a run that had begun when the lease ended, and did not come later to hear of it. */
  #hasWaited({ lostAt, openedAt }) {
    const { askedAt, killedAt } = this
    return lostAt !== undefined && askedAt < killedAt && openedAt < killedAt + LEASE_MS
  }
}
