/** What does the content of a message say: a text or a list of blocks? */
import { isObject } from '../errors.js'
import { listOf } from './list-of.js'
import type { Reading } from './reading-state.js'

interface ContentBlock {
  type?: string
  text?: string
  annotations?: unknown[]
  thinking?: unknown
  reasoning?: unknown
  signature?: string
  /** In a reasoning block (Databricks). */
  summary?: { text?: string; signature?: string }[]
  image_url?: unknown
  url?: string
  data?: string
  mimeType?: string
}

/** Reads content that is a string, or a list of texts, thoughts and images (Mistral, LangChain and others). */
export function readContent(reading: Reading, content: unknown): void {
  if (!isObject(content)) {
    reading.text(content as string | null | undefined)
    return
  }
  for (const block of listOf(content as (ContentBlock | string)[])) {
    if (typeof block === 'string') reading.text(block)
    else if (block.type === 'thinking' || block.type === 'reasoning') readThought(reading, block)
    else if (block.image_url || block.type === 'image')
      reading.file(block.mimeType, block.url ?? addressOf(block.image_url), block.data)
    else if (typeof block.text === 'string') {
      reading.text(block.text)
      for (const annotation of listOf(block.annotations)) reading.citation(annotation)
    }
  }
}

function readThought(reading: Reading, { thinking, reasoning, signature, summary }: ContentBlock): void {
  reading.reasoning(thinking ?? reasoning)
  reading.signature(signature)
  for (const piece of listOf(summary)) {
    reading.reasoning(piece)
    reading.signature(piece.signature)
  }
}

/** The address, which may stand in an object. */
export function addressOf(image: unknown): string | undefined {
  const address = isObject(image) ? (image as { url?: unknown }).url : image
  return typeof address === 'string' ? address : undefined
}
