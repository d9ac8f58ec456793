import { useEffect, useRef, useState } from 'react'
import { useRelay } from 'sse-relay/react'

const STATUS = { ready: 'Ready', submitted: 'Waiting', streaming: 'Answering', error: 'Failed' }

// A question in the address, as in /?q=What+is+an+event+stream%3F, is asked at once.
const linked = new URLSearchParams(location.search).get('q')

export function Chat() {
  const [question, setQuestion] = useState('What is an event stream?')
  /** The conversation but for the latest answer, which is the hook's. */
  const [messages, setMessages] = useState([])
  const isWhole = useRef(false)
  const { text, status, error, send, stop } = useRelay('/api/chat', {
    onDone() {
      isWhole.current = true
    },
  })
  const isBusy = status === 'submitted' || status === 'streaming'

  const ask = (content) => {
    // One that was stopped or cut says so, or the model takes the half for what it had to say.
    const answer = { role: 'assistant', content: isWhole.current ? text : `${text} [broken off]` }
    const all = [...messages, ...(text === '' ? [] : [answer]), { role: 'user', content }]
    isWhole.current = false
    setMessages(all)
    send({ messages: all })
  }

  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the page is there
  useEffect(() => {
    if (linked) ask(linked)
  }, [])

  const submit = (event) => {
    event.preventDefault()
    if (isBusy || question.trim() === '') return
    setQuestion('')
    ask(question)
  }

  return (
    <>
      <header>
        <h1>useRelay</h1>
        <small role="status" className={status}>
          {STATUS[status]}
        </small>
      </header>
      <main role="log" aria-label="Conversation" aria-busy={isBusy}>
        <div>
          {messages.map(({ role, content }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: messages are only ever added at the end
            <p key={index} className={role}>
              {content}
            </p>
          ))}
          {(text !== '' || isBusy) && (
            <p id="answer" className={isBusy ? 'assistant growing' : 'assistant'}>
              {text}
            </p>
          )}
          {status === 'error' && (
            <p role="alert">
              {error.message}
              {error.retryable && (
                <button type="button" onClick={() => send({ messages })}>
                  Try again
                </button>
              )}
            </p>
          )}
        </div>
      </main>
      <form onSubmit={submit}>
        <input aria-label="Your question" value={question} onChange={({ target }) => setQuestion(target.value)} />
        {isBusy ? (
          <button type="button" onClick={stop}>
            Stop
          </button>
        ) : (
          <button type="submit">Send</button>
        )}
      </form>
    </>
  )
}
