/** How does the page ask, read the answer as it comes, stop it, and show how it ended? */

import { fetchSSE, readText } from './sse-relay/client.js'
import { createTimeline, duration } from './timeline.js'

const element = (id) => document.getElementById(id)
const prompt = element('prompt')
const stopButton = element('stop')
const answer = element('answer')
const spoken = element('spoken')
const upstream = element('upstream')
const timeline = createTimeline(element('timeline'))

// A single text node that grows, so that scripts with joined letters stay joined across tokens.
const text = element('text').appendChild(document.createTextNode(''))

/** The question on the page. A new one replaces it, and what still comes for the old one is not shown. */
let current

/** The number of tokens after which a connection is lost on purpose. */
const LOST_AFTER = 40
const KEPT = 'sse-relay-demo'

/**
 * @param demo how the provider should fail
 * @param loss how the connection should be lost: `cut` or `reload`
 */
function ask(demo, loss) {
  const question = { id: randomId(), loss, count: 0, opened: 0 }
  const messages = [{ role: 'user', content: prompt.value.trim() || prompt.defaultValue }]
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages, ask: question.id, demo, keep: loss !== undefined }),
  }
  return read(question, loss ? keptAnswer(question, init) : plainAnswer(init))
}

/** The answer to a question that was asked before the page was loaded again. */
function goOn({ id, place, shown, lostAt }) {
  const question = { id, loss: 'reload', count: 0, opened: 1, shown, lostAt }
  return read(question, keptAnswer(question, { lastEventId: place }))
}

/** An answer that lives as long as its connection: leaving stops it. */
function plainAnswer(init) {
  const controller = new AbortController()
  const { signal } = controller
  return {
    stop: () => controller.abort(),
    async *texts() {
      yield* readText(await fetch('api/chat', { ...init, signal }), { signal })
    },
  }
}

/** An answer that outlives its connection. */
function keptAnswer(question, init) {
  const stream = fetchSSE('api/chat', {
    ...init,
    resumeUrl: 'api/chat',
    stopUrl: 'api/chat/:runId',
    onOpen() {
      if (question.opened++ > 0) question.backMs = Date.now() - question.lostAt
    },
  })
  question.runId = stream.runId
  return { stop: () => stream.stop(), texts: () => readText(stream) }
}

async function read(question, answering) {
  current?.leave()
  current = question
  question.unspoken = ''
  question.stop = () => {
    question.isStopped = true
    answering.stop()
  }
  question.leave = answering.stop
  const isShown = () => current === question

  text.data = ''
  spoken.replaceChildren()
  show('waiting', question.shown === undefined ? 'Waiting for the first token' : 'Back after the reload')
  showUpstream('open', 'The provider is answering our server.')
  // So that a user who asks from further down the page sees the answer.
  answer.scrollIntoView({ block: 'nearest' })
  stopButton.setAttribute('aria-disabled', 'false')
  timeline.start()
  const ticking = setInterval(() => isShown() && showFigures(), 100)

  try {
    for await (const piece of answering.texts()) {
      if (!isShown()) return
      if (text.data === '') show('streaming', 'Answering')
      timeline.arrived()
      text.appendData(piece)
      speak(question, piece)
      if (++question.count === LOST_AFTER && question.shown === undefined) lose(question)
    }
    if (isShown()) end('complete', 'Complete', ...endingOf(question))
  } catch (error) {
    if (!isShown()) return
    if (question.isStopped) end('stopped', 'Stopped', [], 'You ended it; what came before stays.')
    else showError(error)
  } finally {
    clearInterval(ticking)
    keep(undefined)
    // Spoken by now: a reader of the page should not find a second copy.
    setTimeout(() => isShown() && spoken.replaceChildren(), 10_000)
    if (isShown()) await showEndOfUpstream(question, isShown)
  }
}

/** Loses the connection of an answer that outlives it. */
function lose(question) {
  if (question.loss === undefined) return
  question.lostAt = Date.now()
  if (question.loss === 'cut') return fetch(`api/chat/${question.runId}/connection`, { method: 'DELETE' })
  const { id, runId, count, lostAt } = question
  // The place before the first event: the log has everything that was shown.
  if (keep({ id, place: `${runId}:0`, shown: count, lostAt })) location.reload()
}

function keep(place) {
  try {
    if (place === undefined) sessionStorage.removeItem(KEPT)
    else sessionStorage.setItem(KEPT, JSON.stringify(place))
    return true
  } catch {
    // Storage is forbidden, so a reload would begin anew.
    return false
  }
}

function endingOf({ loss, backMs, shown }) {
  const whole = 'The server said that this is all of it.'
  if (loss === undefined || backMs === undefined) return [[], whole]
  const how =
    loss === 'cut'
      ? `The connection was cut after ${LOST_AFTER} tokens`
      : `The page was loaded again after ${shown} tokens`
  return [['resumed'], `${how}, and was back after ${duration(backMs)}. Every token came, and each of them once.`]
}

function stop() {
  if (stopButton.getAttribute('aria-disabled') === 'false') current.stop()
}

function showError(error) {
  // An error of `fetch` itself has no code: the server could not be reached.
  const { code = 'network', status, retryable = !('code' in error), message } = error
  const tags = [status && status >= 400 && `HTTP ${status}`, code, retryable && 'can be retried'].filter(Boolean)
  if (code === 'truncated') end('truncated', 'Cut short', tags, 'It broke off: this is not the whole answer.')
  else end('failed', text.data === '' ? 'Failed before the first token' : 'Failed half way', tags, message)
}

function end(state, title, tags, detail) {
  timeline.end(state)
  stopButton.setAttribute('aria-disabled', 'true')
  speak(current, '\n')
  show(state, title, tags, detail)
  showFigures()
  element('timeline-summary').textContent = summary(timeline.figures(), current)
}

function show(state, title, tags = [], detail = '') {
  answer.dataset.state = state
  element('state').textContent = title
  element('tags').replaceChildren(
    ...tags.flatMap((tag) => {
      const span = document.createElement('span')
      span.className = 'tag'
      span.textContent = tag
      return [span, ' ']
    }),
  )
  element('detail').textContent = detail
}

function showFigures() {
  const { count, firstMs, longestGapMs, durationMs } = timeline.figures()
  element('first').textContent = firstMs === undefined ? '–' : duration(firstMs)
  element('count').textContent = count
  element('gap').textContent = longestGapMs === undefined ? '–' : duration(longestGapMs)
  element('duration').textContent = duration(durationMs)
}

function summary({ count, firstMs, longestGapMs, durationMs, largestPiece }, { shown, backMs }) {
  if (count === 0) return `No token arrived in ${duration(durationMs)}.`
  const facts = `${count} tokens in ${duration(durationMs)}, the first after ${duration(firstMs)}`
  if (count < 8) return `${facts}.`
  if (shown !== undefined) return `${facts}. Those that had come before the reload came again at once, from the log.`
  if (backMs !== undefined) return `${facts}. The flat piece is the connection that was lost.`
  return largestPiece > count / 2
    ? `${facts}, and ${largestPiece} of them at one moment: something between the server and this page buffers.`
    : `${facts}, never more than ${duration(longestGapMs)} apart: nothing on the way held them back.`
}

/** Asks the server what happened to its own request to the provider. */
async function showEndOfUpstream({ id }, isShown) {
  const leftAt = performance.now()
  while (isShown() && performance.now() - leftAt < 20_000) {
    const end = await fetch(`api/upstream?ask=${id}`).then(
      (response) => response.json(),
      () => ({ state: 'unknown' }),
    )
    if (!isShown()) return
    if (end.state === 'open') {
      showUpstream('open', 'The provider is still answering us.')
      continue
    }
    if (end.state === 'unknown') return showUpstream('idle', '')
    if (end.calls !== undefined) {
      const times = end.calls === 1 ? 'once' : `${end.calls} times`
      const how = end.by === 'server' ? '' : ', and our server closed that request when you pressed Stop'
      return showUpstream('closed', `The provider was asked ${times}${how}.`)
    }
    const after = `${duration(end.afterMs ?? 0)} after you left`
    if (end.by === 'client') {
      const count = `${end.sent} of ${end.total} tokens had come, and no more will`
      return showUpstream('closed', `Our server closed its request to the provider ${after}: ${count}.`)
    }
    if (end.by === 'aborted') return showUpstream('closed', `Our server aborted its call to the provider ${after}.`)
    return showUpstream('closed', 'The request to the provider had ended by itself.')
  }
}

function showUpstream(state, words) {
  upstream.dataset.state = state
  upstream.textContent = words
}

/** Gives the screen reader whole sentences: word by word, it would never finish one. */
function speak(question, piece) {
  question.unspoken += piece
  const sentences = /^.*(?:[.!?…](?=\s)|[。！？\n])/s.exec(question.unspoken)
  if (sentences === null) return
  question.unspoken = question.unspoken.slice(sentences[0].length)
  if (sentences[0].trim() === '') return
  const paragraph = document.createElement('p')
  paragraph.textContent = sentences[0].trim()
  spoken.append(paragraph)
}

/** Not `randomUUID`, which a page on `http://192.168.…` does not have. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

element('form').addEventListener('submit', (event) => {
  event.preventDefault()
  if (prompt.value.trim() !== '') ask()
})
prompt.addEventListener('keydown', (event) => {
  // While an input method composes a word, Enter chooses it.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  element('form').requestSubmit()
})
document.addEventListener('keydown', (event) => event.key === 'Escape' && !event.isComposing && stop())
stopButton.addEventListener('click', stop)
for (const button of document.querySelectorAll('[data-demo], [data-loss]')) {
  button.addEventListener('click', () => ask(button.dataset.demo, button.dataset.loss))
}
for (const button of document.querySelectorAll('[data-copy]')) {
  button.addEventListener('click', async () => {
    const { textContent } = element(button.dataset.copy)
    const copied = await navigator.clipboard?.writeText(textContent).then(
      () => true,
      () => false,
    )
    button.textContent = copied ? 'Copied' : 'Select it below'
    setTimeout(() => (button.textContent = 'Copy'), 2000)
  })
}

fetch('api/provider')
  .then((response) => response.json())
  .then(({ name, real }) => {
    element('provider').textContent = name
    element('provider').dataset.real = real
    if (!real && answer.dataset.state === 'idle') {
      element('detail').textContent = 'Whatever you ask, the same answer is replayed, through the provider’s real SDK.'
    }
  })

// A page that is loaded again is at its top, where the answer is.
history.scrollRestoration = 'manual'

try {
  const kept = JSON.parse(sessionStorage.getItem(KEPT))
  if (kept) goOn(kept)
} catch {
  // No storage, or not ours: there is no answer to resume.
}
