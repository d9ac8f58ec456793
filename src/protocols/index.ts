/** The dialects spoken to the client. */
export type { AnswerPart, Encoder, EncoderEnd, EncoderPart, EncoderRun, Failure, Protocol } from '../types.js'
export { type AnthropicMessagesOptions, anthropicMessages } from './anthropic-messages.js'
export { type OpenAIChatOptions, openaiChat } from './openai-chat.js'
export { parts } from './parts.js'
export { raw } from './raw.js'
export { text } from './text.js'
export { type UIMessageOptions, uiMessage } from './ui-message.js'
