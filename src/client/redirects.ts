/** How is a redirect to another origin followed without the headers that are not meant for it? */

import { show } from '../errors.js'
import type { ResponseLike } from '../types.js'
import { toBody, unreadable } from './sse-input.js'
import { networkError } from './wire-errors.js'

/** The part of `fetch` that is needed. Expo's `fetch` also fits, whose response has less than the platform's. */
export type FetchLike = (url: string, init: RequestInit) => Promise<ResponseLike>

const STATUSES = [301, 302, 303, 307, 308]
const MAX_REDIRECTS = 20

/**
 * Like `fetch`, but nothing of the run, and no header that the caller gave, goes to another origin: the server that was
 * asked chooses the target, which may be anywhere. `fetch` itself removes only `authorization`.
 */
export async function fetchWithin(ask: FetchLike, url: string, init: RequestInit): Promise<Response> {
  const fetch = async (url: string, init: RequestInit) => {
    const response = await ask(url, init)
    // Some `fetch` functions give the content instead of the response.
    if (typeof response?.headers?.get !== 'function') throw unreadable(`what fetch gave, ${show(response)},`)
    return response as Response
  }
  // The caller has decided.
  if (init.redirect) return fetch(url, init)
  // A page cannot see where a redirect leads, but it can have other origins refused.
  if (isOfPage(url)) return fetch(url, { mode: 'same-origin', ...init })
  let wasRedirected = false
  try {
    for (let count = 0; count < MAX_REDIRECTS; count++) {
      const response = await fetch(url, { ...init, redirect: 'manual' })
      const { status, type, headers } = response
      const location = STATUSES.includes(status) && headers.get('location')
      if (type !== 'opaqueredirect' && !location) return response
      wasRedirected = true
      toBody(response).cancel()
      const isPost = /^post$/i.test(init.method ?? '')
      if (status === 303 || (isPost && (status === 301 || status === 302)))
        init = { ...init, method: 'GET', body: null }
      const target = location ? new URL(location, url) : undefined
      const { origin, host } = new URL(url, base())
      // The same server, over TLS.
      const isSecured = target?.protocol === 'https:' && target.host === host
      if (!target || (target.origin !== origin && !isSecured)) {
        const given = new Headers(init.headers)
        const headers = new Headers()
        for (const name of ['accept', 'content-type']) {
          const value = given.get(name)
          if (value) headers.set(name, value)
        }
        return await fetch(target?.href ?? url, { ...init, headers })
      }
      url = target.href
    }
    throw new TypeError(`There were more than ${MAX_REDIRECTS} redirects`)
  } catch (error) {
    // A failure behind a redirect is not the caller's mistake.
    throw wasRedirected ? networkError(error) : error
  }
}

/** The base of a page's relative addresses: its own, unless a `<base>` says otherwise. */
function base(): string | undefined {
  return globalThis.document?.baseURI ?? globalThis.location?.href
}

function isOfPage(url: string): boolean {
  const { origin } = globalThis.location ?? {}
  try {
    return origin !== undefined && new URL(url, base()).origin === origin
  } catch {
    return false
  }
}
