// What `useRelay` shows where a page is rendered on a server.
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { useRelay } from 'sse-relay/react'
import { describe, expect, it } from 'vitest'

describe('useRelay on a server', () => {
  it('renders an answer that has not been asked for', () => {
    const Chat = () => createElement('p', null, JSON.stringify(useRelay('/api/chat')))
    const html = renderToString(createElement(Chat))
    expect(html.replaceAll('&quot;', '"')).toBe('<p>{"text":"","parts":[],"status":"ready"}</p>')
  })
})
