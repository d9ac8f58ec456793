export type RuntimeName = 'Bun' | 'Deno' | 'workerd'

/** A program that is there, or the reason why it is not. */
export interface Program {
  readonly name: RuntimeName
  readonly version: string
  readonly path: string | undefined
  /** Why it cannot be used here; undefined if it can. */
  readonly missing: string | undefined
}

/** The program of a runtime. The first who asks waits until all of them are installed. */
export function runtimeProgram(name: RuntimeName): Promise<Program>
