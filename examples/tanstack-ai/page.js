import { ChatClient, fetchServerSentEvents } from '@tanstack/ai-client'

const form = document.querySelector('form')
const { question, send, stop } = form.elements
const status = document.querySelector('#status')
const list = document.querySelector('#messages')

// The thread is in the address: a reload finds it there.
const threadId = new URLSearchParams(location.search).get('thread') ?? crypto.randomUUID()
history.replaceState(null, '', `?thread=${threadId}`)

const chat = new ChatClient({
  threadId,
  // The server has the messages, and knows which run goes on.
  persistence: true,
  connection: fetchServerSentEvents('api/chat'),
  onMessagesChange: show,
  onStatusChange(now) {
    if (now !== 'error') status.textContent = now
    send.disabled = now === 'submitted' || now === 'streaming'
    stop.disabled = !send.disabled
  },
  onErrorChange(error) {
    if (error) status.textContent = error.message
  },
})
chat.attach()

form.addEventListener('submit', (event) => {
  event.preventDefault()
  chat.sendMessage(question.value)
})
stop.addEventListener('click', async () => {
  const runId = chat.getCurrentRunId()
  chat.stop()
  await fetch(`api/chat/${runId}`, { method: 'DELETE' })
  status.textContent = 'stopped'
})

function show(messages) {
  list.replaceChildren(
    ...messages.flatMap(({ role, parts }) =>
      parts.map((part) => {
        const item = document.createElement('li')
        item.className = role
        if (part.type === 'text') item.textContent = part.content
        else if (part.type === 'tool-call') item.textContent = `${part.name} ${part.arguments}`
        else item.hidden = true
        return item
      }),
    ),
  )
}
