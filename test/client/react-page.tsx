/** The page of `react.test.ts`: one component that shows an answer, and a handle for the test to it. */
import { Activity, Profiler, StrictMode, useEffect, useLayoutEffect, useRef } from 'react'
import { createRoot, type Root } from 'react-dom/client'
import { isRelayError } from 'sse-relay/client'
import { type RelayAnswer, type UseRelayOptions, type UseRelayResult, useRelay } from 'sse-relay/react'

/** What was on the screen, and of which frame it is. */
export interface Screen extends Omit<RelayAnswer, 'error' | 'runId' | 'lastEventId'> {
  error: { isRelayError: boolean; code?: string; message?: string; status?: number; retryable?: boolean } | undefined
  frame: number
}

/** What the component is given. */
export interface ChatProps {
  url: string
  options?: Omit<UseRelayOptions, 'fetch' | 'onOpen' | 'onDone' | 'onError'>
  /** Asks with this as soon as it is there. */
  ask?: unknown
  /** Asks in the first effect only, and not in the one that StrictMode runs once more. */
  askOnce?: boolean
  /** Asks in a layout effect, before the others, but not in the one that StrictMode runs once more. */
  askEarly?: boolean
  /** Comes back in what is told of the ending. */
  label?: string
  /** Whether the tree it is in is hidden. */
  hidden?: boolean
  /** Reads this on as soon as it is there. */
  from?: string
}

const seen: Screen[] = []
const told: string[] = []
let relay: UseRelayResult
let root: Root | undefined
let frames = 0
let effects = 0
let renders = 0

function Chat({ url, options, ask, askOnce = false, askEarly = false, label = '', from }: ChatProps) {
  relay = useRelay(url, {
    ...options,
    onDone: (answer) => told.push(`done ${label} ${answer.status} ${answer.text}`),
    onError: (error) => told.push(`error ${label} ${(error as { code?: string }).code}`),
  })
  const asked = useRef(false)
  useLayoutEffect(() => {
    if (!askEarly || asked.current) return
    asked.current = true
    relay.send(ask)
  }, [ask, askEarly])
  useEffect(() => {
    effects++
    if (ask === undefined || askEarly || (askOnce && asked.current)) return
    asked.current = true
    relay.send(ask)
  }, [ask, askOnce, askEarly])
  useEffect(() => {
    if (from !== undefined) relay.resume(from)
  }, [from])
  return <p id="answer">{relay.text}</p>
}

/** Of each commit, also of one that StrictMode renders twice. */
function onRender() {
  renders++
  const { text, parts, status, error } = relay
  const { code, message, status: http, retryable } = (error ?? {}) as Record<string, never>
  seen.push({
    text,
    parts,
    status,
    error:
      error === undefined ? undefined : { isRelayError: isRelayError(error), code, message, status: http, retryable },
    // The same for all that happens between one frame and the next.
    frame: Number(document.timeline.currentTime),
  })
}

const page = {
  seen,
  told,
  show(props: ChatProps) {
    root ??= createRoot(document.getElementById('root') as HTMLElement)
    root.render(
      <StrictMode>
        <Activity mode={props.hidden ? 'hidden' : 'visible'}>
          <Profiler id="chat" onRender={onRender}>
            <Chat {...props} />
          </Profiler>
        </Activity>
      </StrictMode>,
    )
  },
  unmount() {
    root?.unmount()
    root = undefined
  },
  /** What the component would call; works after it is gone too. */
  send: (body?: unknown) => relay.send(body),
  stop: () => relay.stop(),
  resume: (place?: string) => relay.resume(place),
  place: () => ({ runId: relay.runId, lastEventId: relay.lastEventId }),
  counts: () => ({ frames, effects, renders }),
}

declare global {
  interface Window {
    chat: typeof page
  }
}
window.chat = page

requestAnimationFrame(function count() {
  frames++
  requestAnimationFrame(count)
})
