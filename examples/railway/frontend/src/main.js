import { fetchSSE, readText } from 'sse-relay/client'

// Vite puts it in when it builds. Whatever begins with VITE_ is for everybody to read.
const url = `${import.meta.env.VITE_API_URL ?? 'http://localhost:3001'}/api/chat`

const form = document.querySelector('form')
const { question, send, stop } = form.elements
const status = document.querySelector('#status')
const answer = document.querySelector('#answer')
let stream

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  answer.textContent = ''
  status.textContent = 'Waiting'
  send.disabled = true
  stop.disabled = false
  stream = fetchSSE(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: question.value }] }),
    resumeUrl: url,
    stopUrl: `${url}/:runId`,
  })
  try {
    for await (const text of readText(stream)) {
      status.textContent = 'Answering'
      answer.append(text)
    }
    status.textContent = 'Complete'
  } catch (error) {
    status.textContent = error.code === 'stopped' ? 'Stopped' : error.message
  }
  send.disabled = false
  stop.disabled = true
})

stop.addEventListener('click', () => {
  stream.stop()
})
