import { useChat } from '@ai-sdk/react'
import { useState } from 'react'
import { createRoot } from 'react-dom/client'

const STATUS = { ready: 'Ready', submitted: 'Waiting', streaming: 'Answering', error: 'Failed' }

function Chat() {
  const [question, setQuestion] = useState('What is an event stream?')
  const [isStopped, setStopped] = useState(false)
  // To /api/chat, with the DefaultChatTransport. A stopped answer looks like a whole one, but for isAbort.
  const { messages, status, error, sendMessage, stop } = useChat({ onFinish: ({ isAbort }) => setStopped(isAbort) })
  const isBusy = status === 'submitted' || status === 'streaming'

  const send = (event) => {
    event.preventDefault()
    if (isBusy || question.trim() === '') return
    setStopped(false)
    setQuestion('')
    sendMessage({ text: question })
  }

  return (
    <>
      <h1>useChat and sse-relay</h1>
      <main role="log" aria-label="Conversation" aria-busy={isBusy}>
        <div>
          {messages.map((message) => (
            <Message key={message.id} {...message} />
          ))}
          {error && <p role="alert">{wordsOf(error)}</p>}
        </div>
      </main>
      <footer>
        <form onSubmit={send}>
          <input aria-label="Your question" value={question} onChange={({ target }) => setQuestion(target.value)} />
          <button type="submit" disabled={isBusy}>
            Send
          </button>
          <button type="button" disabled={!isBusy} onClick={stop}>
            Stop
          </button>
        </form>
        <small role="status">{isStopped && status === 'ready' ? 'Stopped' : STATUS[status]}</small>
      </footer>
    </>
  )
}

function Message({ role, parts, metadata }) {
  const usage = metadata?.usage
  return (
    <article className={role}>
      <h2>{role === 'user' ? 'You' : 'Answer'}</h2>
      {parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts are only ever added at the end
        <Part key={index} {...part} />
      ))}
      {usage && (
        <small>
          {usage.inputTokens} tokens in, {usage.outputTokens} out
        </small>
      )}
    </article>
  )
}

function Part({ type, text, toolName, input, errorText, url, title }) {
  switch (type) {
    case 'text':
      return <p>{text}</p>
    case 'reasoning':
      return (
        <details>
          <summary>Reasoning</summary>
          <p>{text}</p>
        </details>
      )
    case 'dynamic-tool':
      return (
        <details open>
          <summary>Tool call: {toolName}</summary>
          <pre>{JSON.stringify(input, null, 2)}</pre>
          {errorText && <p role="alert">{errorText}</p>}
        </details>
      )
    case 'source-url':
      return (
        <p>
          Source: <a href={url}>{title ?? url}</a>
        </p>
      )
    default:
      return null
  }
}

/** A failure before the first token is an HTTP answer whose body useChat makes the message: JSON. Later ones are text. */
function wordsOf(error) {
  try {
    return JSON.parse(error.message).error.message
  } catch {
    return error.message
  }
}

createRoot(document.getElementById('root')).render(<Chat />)
