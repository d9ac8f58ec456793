/** What do the chats and workflows of Dify say? */
import type { ChunkShape, Reading } from './reading-state.js'

interface DifyEvent {
  event: string
  task_id?: string
  answer?: string
  data?: { text?: string; status?: string; error?: unknown }
  metadata?: { usage?: object }
}

/**
 * The names of Dify's events. An application's own jobs have events and task ids, too, so one of Dify's ids is
 * required.
 */
const DIFY = /^((agent|message|text|tts|workflow|node|iteration|loop|parallel|human)_\w+|message|error|ping)$/
const DIFY_ID = /^(message|conversation|workflow_run)_id$/

/** Dify. The inputs and outputs of a flow's nodes and of tools stay on the server. */
export const dify: ChunkShape = {
  is(chunk: DifyEvent) {
    const { event, task_id: task } = chunk
    return typeof task === 'string' && DIFY.test(event) && Object.keys(chunk).some((key) => DIFY_ID.test(key))
  },

  follows: ({ event, task_id: task }: DifyEvent) => typeof event === 'string' && typeof task === 'string',

  read({ event, answer, data, metadata, ...told }: DifyEvent, reading: Reading) {
    if (event === 'message' || event === 'agent_message') reading.text(answer)
    else if (event === 'text_chunk') reading.text(data?.text)
    else if (event === 'message_end') {
      reading.counts(metadata?.usage)
      reading.end()
    } else if (event === 'error') reading.error(told)
    else if (event === 'workflow_finished') {
      if (data?.status === 'failed') reading.error({ message: String(data.error) })
      else reading.end(data?.status === 'stopped' ? 'cancelled' : undefined)
    }
  },
}
