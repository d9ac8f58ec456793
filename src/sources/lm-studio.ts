/** What do the predictions of LM Studio's SDK say? */
import type { ChunkShape, Reading } from './reading-state.js'

interface Fragment {
  content?: string
  reasoningType?: string
  tokensCount?: number
}

/** The fragments of LM Studio's SDK. It throws when it fails, so any fragment may be the last. */
export const lmStudio: ChunkShape = {
  is: ({ content, reasoningType, tokensCount }: Fragment) =>
    typeof content === 'string' && typeof reasoningType === 'string' && typeof tokensCount === 'number',

  read({ content, reasoningType }: Fragment, reading: Reading) {
    if (reasoningType === 'none') reading.text(content)
    else if (reasoningType === 'reasoning') reading.reasoning(content)
    reading.end()
  },
}
