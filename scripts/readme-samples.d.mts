/** A block of the README or the quick start, and what runs it. */
export interface ReadmeBlock {
  path: string
  line: number
  language: string
  text: string
  installs?: boolean
  serves?: string
  asks?: string
  maps?: string
  by?: string
}

export function readmeSamples(root: string): ReadmeBlock[]
