export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Runs every name once a round, there and back, so that a slow moment of the machine meets all of them. */
export async function alternate(names, rounds, run) {
  const values = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 ? names.toReversed() : names) values[name].push(await run(name, round))
  }
  return values
}

/** Ours beside theirs, round by round: the ratio's median, and how far it went either way. */
export function compare(ours, theirs) {
  const ratios = ours.map((value, round) => value / theirs[round])
  return {
    ours: median(ours),
    theirs: median(theirs),
    ratio: median(ratios),
    low: Math.min(...ratios),
    high: Math.max(...ratios),
    runs: ratios.length,
  }
}
