/** What `test/package/docs-prelude.ts` promises the samples, for those that are run in a page. */
const element = (id: string) => document.getElementById(id) as HTMLElement

export const output = element('output')
export const notice = element('notice')
export const messages = [{ role: 'user' as const, content: 'What is an event stream?' }]
export const url = '/api/chat'
export const question: RequestInit = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages }),
}
/** The answer to a question, asked when it is first needed. */
export const response = await fetch(url, question)
