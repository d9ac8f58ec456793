/** Servers that each do one thing wrong, and some that do nothing wrong. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

export const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
}
export const FRAMES = Array.from({ length: 12 }, (_, index) => `data: {"text":"piece ${index} "}\n\n`)
export const DONE = 'data: [DONE]\n\n'

export interface Served extends AsyncDisposable {
  url: string
  port: number
  server: Server
}

/** On 127.0.0.1 and a free port, until it is disposed of. */
export async function serve(listener: RequestListener): Promise<Served> {
  const server = createServer(listener)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

export interface Script {
  status?: number
  headers?: Record<string, string>
  frames?: readonly (string | Uint8Array)[]
  /** Before each frame, in milliseconds. */
  pauseMs?: number | ((index: number) => number)
  /** Before the head. */
  delayMs?: number
  /** How it is over. */
  end?: 'end' | 'destroy' | 'never'
}

/** When each piece is due, in milliseconds since the head. */
export function schedule({ frames = [...FRAMES, DONE], pauseMs = 100 }: Script) {
  let atMs = 0
  return frames.map((frame, index) => {
    atMs += typeof pauseMs === 'function' ? pauseMs(index) : pauseMs
    return { atMs, frame }
  })
}

export const eventsIn = (frame: string | Uint8Array) => String(frame).split('\n\n').length - 1

/** Writes each frame when its time has come. HEAD is answered with the head. */
export function scripted(script: Script): RequestListener {
  const {
    status = 200,
    headers = HEADERS,
    frames = [...FRAMES, DONE],
    pauseMs = 100,
    delayMs = 0,
    end = 'end',
  } = script
  return async (req, res) => {
    req.resume()
    if (req.method === 'HEAD') return void res.writeHead(status, headers).end()
    await wait(delayMs)
    res.writeHead(status, headers).flushHeaders()
    await play(res, frames, pauseMs)
    if (end === 'end') res.end()
    else if (end === 'destroy') res.destroy()
  }
}

async function play(
  res: ServerResponse,
  frames: readonly (string | Uint8Array)[],
  pauseMs: number | ((index: number) => number),
): Promise<void> {
  for (const [index, frame] of frames.entries()) {
    await wait(typeof pauseMs === 'function' ? pauseMs(index) : pauseMs)
    if (res.destroyed) return
    res.write(frame)
  }
}
