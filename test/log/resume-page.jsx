// One page for three readers of a run; what it shows is in `output`, and what it keeps over a reload in sessionStorage.
import { useChat } from '@ai-sdk/react'
import { DefaultChatTransport } from 'ai'
import { useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { fetchSSE } from 'sse-relay/client'

const kind = new URLSearchParams(location.search).get('kind')
const output = document.querySelector('output')
const status = document.querySelector('#status')
const say = (text) => {
  status.textContent = text
}

function withEventSource() {
  const run = sessionStorage.getItem('run')
  // After a reload the run is followed from its first event: an EventSource of its own knows no last event id.
  const events = new EventSource(run ? `/api/follow?run=${run}` : '/api/events')
  output.textContent = ''
  events.onmessage = ({ data, lastEventId }) => {
    sessionStorage.setItem('run', lastEventId.split(':')[0])
    if (data === '[DONE]') {
      say('done')
      events.close()
    } else output.textContent += JSON.parse(data).text
  }
  events.addEventListener('error', ({ data }) => data && say(`error ${data}`))
}

async function withFetch() {
  const kept = JSON.parse(sessionStorage.getItem('answer') ?? 'null')
  output.textContent = kept?.text ?? ''
  const stream = kept
    ? fetchSSE('/api/chat', { lastEventId: kept.id, onRetry() {} })
    : fetchSSE('/api/chat', { method: 'POST', body: '{}', resumeUrl: '/api/chat' })
  try {
    for await (const { data, id } of stream) {
      output.textContent += JSON.parse(data).text
      sessionStorage.setItem('answer', JSON.stringify({ id, text: output.textContent }))
    }
    say('done')
  } catch (error) {
    say(`error ${error.code} ${error.message}`)
  }
}

function Chat() {
  const {
    messages,
    status: state,
    error,
    sendMessage,
    resumeStream,
  } = useChat({
    id: 'the-chat',
    resume: sessionStorage.getItem('asked') !== null,
    transport: new DefaultChatTransport({ api: '/api/ui' }),
  })
  useEffect(() => {
    window.ask = () => {
      sessionStorage.setItem('asked', 'yes')
      sendMessage({ text: 'Go' })
    }
    // Not its promise, which waits for the end of the answer.
    window.again = () => void resumeStream()
  })
  const text = messages
    .filter(({ role }) => role === 'assistant')
    .flatMap(({ parts }) => parts)
    .filter(({ type }) => type === 'text')
    .map(({ text }) => text)
    .join('')
  useEffect(() => {
    output.textContent = text
    say(error ? `error ${error.message}` : state === 'ready' && text !== '' ? 'done' : state)
  })
  return null
}

if (kind === 'EventSource') withEventSource()
else if (kind === 'fetchSSE') withFetch()
else createRoot(document.querySelector('#root')).render(<Chat />)
