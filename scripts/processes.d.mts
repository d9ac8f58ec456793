/** A module in a process of its own. */
export interface StartedProcess {
  readonly exited: Promise<{ code: number | null; signal: string | null }>
  /** Calls one of the functions the module serves. Rejects if the process ends, or after `limitMs`. */
  ask(name: string, argument?: unknown, limitMs?: number): Promise<unknown>
  stop(): Promise<void>
}

export function start(
  module: URL,
  options?: {
    data?: object
    onTell?(message: object): void
    onError?(text: string): void
    execArgv?: readonly string[]
  },
): StartedProcess
