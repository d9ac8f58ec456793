/** What `test/package/docs-prelude.ts` promises the samples, for servers that run on Bun or Deno. */
export const ask = () => () => ['Hello there! Streams\n\n', 'work — naïve 日本🚀']
