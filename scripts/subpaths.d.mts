/** In the order of package.json: `sse-relay/client` has `src/client/index.ts`, `client` and `dist/client.js`. */
export const subpaths: { name: string; source: string; entry: string; built: string }[]
