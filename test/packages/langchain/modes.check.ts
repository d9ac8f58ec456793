/** Do the graphs of LangGraph come out right that wait for a person, and those whose models speak at once? */
import { HumanMessage } from '@langchain/core/messages'
import { RunnableMap } from '@langchain/core/runnables'
import { Command, END, interrupt, MemorySaver, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import { ChatOpenAI } from '@langchain/openai'
import { createAgent, humanInTheLoopMiddleware, tool } from 'langchain'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { arrive, calls, provider, SECRET, says, saysHalf, text } from '../modes.js'

const modelAt = (url: string) =>
  new ChatOpenAI({
    model: 'm',
    apiKey: SECRET,
    maxRetries: 0,

    configuration: { baseURL: `${url}/v1` },
  })
const modes = ['messages', 'updates', 'values', ['messages', 'updates'], ['messages', 'values', 'debug']] as const
const ask = { messages: [new HumanMessage('Hi')] }

describe('a graph of LangGraph', () => {
  it.each(modes)('that waits for a person before any model speaks has ended for now, in %s', async (streamMode) => {
    const graph = new StateGraph(MessagesAnnotation)
      .addNode('ask', () => interrupt({ question: SECRET }))
      .addEdge(START, 'ask')
      .compile({ checkpointer: new MemorySaver() })
    const configurable = { thread_id: '1' }
    const told = await arrive(({ signal }) =>
      graph.stream(ask, { streamMode: streamMode as never, configurable, signal }),
    )
    // The mode of messages alone says nothing at all.
    expect(told).toMatchObject({
      outcome: 'done',
      ...(streamMode !== 'messages' && { finishReason: 'tool-calls' }),
    })
  })

  // In modes without messages its model does not stream.
  it.each(modes.filter((mode) => mode.includes('messages')))(
    'whose tool waits for an approval has ended for now, and goes on once it has it, in %s',
    async (mode) => {
      const url = await provider(says(calls('weather')), says(text('2', 'It ', 'rains.')))
      const weather = tool(async () => SECRET, {
        name: 'weather',
        description: SECRET,
        schema: z.object({ city: z.string() }),
      })
      const agent = createAgent({
        model: modelAt(url),
        tools: [weather],
        systemPrompt: SECRET,
        checkpointer: new MemorySaver(),
        middleware: [humanInTheLoopMiddleware({ interruptOn: { weather: true } })],
      })
      const options = { streamMode: mode as never, configurable: { thread_id: '1' } }
      const asked = await arrive(({ signal }) => agent.stream(ask, { ...options, signal }))
      expect(asked).toMatchObject({ outcome: 'done', finishReason: 'tool-calls', text: 'Let me see.', results: [] })
      // The mode of messages alone says nothing of it.
      if (mode !== 'messages') expect(asked.calls.at(-1)).toMatchObject({ executed: true, approval: 'call_1' })
      const resume = new Command({ resume: { decisions: [{ type: 'approve' }] } })
      const told = await arrive(({ signal }) => agent.stream(resume as never, { ...options, signal }))
      expect(told.outcome).toBe('done')
      expect(told.finishReason).not.toBe('tool-calls')
      expect(told.text).toMatch(/It rains\.$/)
      expect(told.results).toMatchObject([{ id: 'call_1', output: null }])
    },
  )

  const speakers = (url: string) => {
    const node = async () => ({ messages: [await modelAt(url).invoke('Hi')] })
    return new StateGraph(MessagesAnnotation)
      .addNode('one', node)
      .addNode('two', node)
      .addEdge(START, 'one')
      .addEdge(START, 'two')
      .addEdge('one', END)
      .addEdge('two', END)
      .compile()
  }
  const one = text('1', 'a', 'a', 'a')
  const two = text('2', 'b', 'b', 'b')

  it.each(['messages', ['messages', 'updates']] as const)('whose models speak at once is whole in %s', async (mode) => {
    const url = await provider(says(one), says(two))
    const told = await arrive(({ signal }) =>
      speakers(url).stream({ messages: [] }, { streamMode: mode as never, signal }),
    )
    expect(told.outcome).toBe('done')
    expect(told.text.replace(/\W/g, '').split('').sort().join('')).toBe('aaabbb')
  })

  it('whose models speak at once is truncated where one of them was cut', async () => {
    const long = text('2', ...Array.from('bbbbbbbb'))
    const url = await provider(saysHalf(text('1', 'a', 'a', 'a', 'a')), says(long))
    const told = await arrive(({ signal }) =>
      speakers(url).stream({ messages: [] }, { streamMode: 'messages', signal }),
    )
    expect(told.outcome).toBe('truncated')
  })

  it('is not what a map of runnables is, whose messages are read all the same', async () => {
    const url = await provider(says(one), says(two))
    const map = RunnableMap.from({ joke: modelAt(url), poem: modelAt(url) })
    const told = await arrive(({ signal }) => map.stream('Hi', { signal }))
    expect(told.outcome).toBe('done')
    expect(told.text.replace(/\W/g, '').split('').sort().join('')).toBe('aaabbb')
  })
})
