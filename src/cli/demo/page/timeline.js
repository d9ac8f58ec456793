/** When did each token arrive? A picture: a stroke per token, and above it the curve of their number. */

const SVG = 'http://www.w3.org/2000/svg'
const HEIGHT = 208
const BASE = 150 // where the curve stands
const STROKES = [158, 184] // from where to where a stroke goes
const STEPS = [250, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 120_000, 300_000]

const make = (name, attributes) => {
  const element = document.createElementNS(SVG, name)
  for (const key in attributes) element.setAttribute(key, attributes[key])
  return element
}

/** Milliseconds in the form that people use. */
export const duration = (ms) =>
  Math.round(ms) < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`

export function createTimeline(svg) {
  const grid = make('g', { class: 'grid' })
  const area = make('path', { class: 'area' })
  const curve = make('path', { class: 'curve' })
  const strokes = make('path', { class: 'strokes' })
  const end = make('path', { class: 'end' })
  svg.append(grid, end, area, curve, strokes)

  let arrivals = [] // milliseconds since the request
  let startedAt
  let endedAt
  let frame
  let moment // of the piece that is being read

  const elapsed = () => (startedAt === undefined ? 0 : (endedAt ?? performance.now()) - startedAt)

  function draw() {
    const width = svg.clientWidth
    const span = Math.max(2000, elapsed() * (endedAt === undefined ? 1.08 : 1.02))
    const x = (ms) => ((ms / span) * width).toFixed(1)
    const y = (count) => (BASE - (count / Math.max(arrivals.length, 12)) * (BASE - 18)).toFixed(1)

    const step = STEPS.find((step) => (step / span) * width >= 44) ?? span
    const most = Math.max(arrivals.length, 12)
    grid.replaceChildren(make('path', { d: `M0 ${BASE}H${width}` }))
    // The number of tokens: at the top, and half way.
    for (const count of [Math.round(most / 2), most]) {
      const label = make('text', { x: 0, y: Number(y(count)) - 3 })
      label.textContent = count === most ? `${count} tokens` : count
      grid.append(make('path', { d: `M0 ${y(count)}H${width}` }), label)
    }
    for (let ms = 0; ms <= span; ms += step) {
      // The outermost labels stay inside the picture.
      const anchor = ms === 0 ? 'start' : x(ms) > width - 16 ? 'end' : 'middle'
      const label = make('text', { x: x(ms), y: HEIGHT - 4, 'text-anchor': anchor })
      label.textContent = ms === 0 ? '0' : `${ms / 1000} s`
      grid.append(make('path', { d: `M${x(ms)} ${STROKES[1] + 2}v4` }), label)
    }

    let line = ''
    let marks = ''
    for (const [index, ms] of arrivals.entries()) {
      line += `${index === 0 ? `M${x(ms)} ${BASE}` : `H${x(ms)}`}V${y(index + 1)}`
      marks += `M${x(ms)} ${STROKES[0]}V${STROKES[1]}`
    }
    if (line !== '') line += `H${x(elapsed())}`
    curve.setAttribute('d', line)
    area.setAttribute('d', line === '' ? '' : `${line}V${BASE}`)
    strokes.setAttribute('d', marks)
    end.setAttribute('d', startedAt === undefined ? '' : `M${x(elapsed())} 4V${STROKES[1]}`)
  }

  function animate() {
    draw()
    frame = requestAnimationFrame(animate)
  }

  new ResizeObserver(draw).observe(svg)

  return {
    start() {
      cancelAnimationFrame(frame)
      arrivals = []
      moment = undefined
      startedAt = performance.now()
      endedAt = undefined
      svg.dataset.state = 'streaming'
      animate()
    },
    arrived() {
      // Tokens that are read without a pause came in one piece, however long a busy page takes for them.
      if (moment === undefined) {
        moment = elapsed()
        setTimeout(() => {
          moment = undefined
        })
      }
      arrivals.push(moment)
    },
    end(state) {
      endedAt = performance.now()
      svg.dataset.state = state
      cancelAnimationFrame(frame)
      draw()
    },
    figures() {
      const gaps = arrivals.slice(1).map((ms, index) => ms - arrivals[index])
      // Pieces less than 3 ms apart left the server, or whatever is in front of it, as one.
      let piece = 0
      let largestPiece = 0
      for (const [index] of arrivals.entries()) {
        piece = index > 0 && gaps[index - 1] < 3 ? piece + 1 : 1
        largestPiece = Math.max(largestPiece, piece)
      }
      return {
        count: arrivals.length,
        firstMs: arrivals[0],
        longestGapMs: gaps.length > 0 ? Math.max(...gaps) : undefined,
        durationMs: elapsed(),
        largestPiece,
      }
    },
  }
}
