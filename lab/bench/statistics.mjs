// What a row is made of its rounds: medians, quantiles, and what earlier occasions say.

export const median = (values) => quantile(values, 0.5)

/** Between two values, what is so far between them. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * share
  const low = sorted[Math.floor(at)]
  return low + (sorted[Math.ceil(at)] - low) * (at % 1)
}

/** Runs every name once a round, there and back, so that a slow moment of the machine meets all of them. */
export async function alternate(names, rounds, run) {
  const values = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 ? names.toReversed() : names) values[name].push(await run(name, round))
  }
  return values
}

/**
 * Measures so many rounds in each of several processes, and joins them. What the compiler and the allocator make of a
 * program differs by a few percent from one process to the next, and no number of rounds in one of them tells.
 */
export async function renew(rounds, measure) {
  const values = {}
  for (const [process, count] of rounds.entries()) {
    const more = await measure(count, process)
    for (const name of Object.keys(more)) values[name] = [...(values[name] ?? []), ...more[name]]
  }
  return values
}

/** Ours beside theirs, round by round: the ratio's median, and the middle half of the rounds. */
export function compare(ours, theirs) {
  const ratios = ours.map((value, round) => value / theirs[round])
  return {
    ours: median(ours),
    theirs: median(theirs),
    ratio: median(ratios),
    low: quantile(ratios, 0.25),
    high: quantile(ratios, 0.75),
    runs: ratios.length,
  }
}
