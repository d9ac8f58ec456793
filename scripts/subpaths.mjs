// What the package exports: each subpath, by the name it is imported under, with its source and its built file. The
// build, the tests and the site take it from here. package.json and tsconfig.json cannot: a test compares them.

const sources = {
  'sse-relay': 'src/index.ts',
  'sse-relay/client': 'src/client/index.ts',
  'sse-relay/react': 'src/client/react.ts',
  'sse-relay/log': 'src/log/index.ts',
  'sse-relay/redis': 'src/log/redis.ts',
  'sse-relay/protocols': 'src/protocols/index.ts',
  'sse-relay/web': 'src/adapters/web.ts',
  'sse-relay/node': 'src/adapters/node.ts',
  'sse-relay/express': 'src/adapters/express.ts',
  'sse-relay/fastify': 'src/adapters/fastify.ts',
  'sse-relay/koa': 'src/adapters/koa.ts',
  'sse-relay/hono': 'src/adapters/hono.ts',
  'sse-relay/testing': 'src/testing/index.ts',
}

export const subpaths = Object.entries(sources).map(([name, source]) => {
  const entry = name === 'sse-relay' ? 'index' : name.slice('sse-relay/'.length)
  return { name, source, entry, built: `dist/${entry}.js` }
})
