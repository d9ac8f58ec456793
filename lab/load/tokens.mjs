// What every stream says: its own number, so that a token that strays is seen.
export const TOKEN_MS = 1000

export const textOf = (id, index) => `${id}.${index} `

export const frameOf = (id, index) => `data: ${JSON.stringify({ text: textOf(id, index) })}\n\n`
