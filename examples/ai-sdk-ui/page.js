// The page in one piece, bundled when the server starts; yours has a bundler of its own.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const html = await readFile(new URL('index.html', import.meta.url), 'utf8')
const bundle = await build({
  entryPoints: [fileURLToPath(new URL('chat.jsx', import.meta.url))],
  bundle: true,
  write: false,
  format: 'esm',
  jsx: 'automatic',
  minify: true,
  define: { 'process.env.NODE_ENV': '"production"' },
})

// By a function: a bundle is full of the dollar signs that mean something in a replacement.
export const page = html.replace(
  '<!-- script -->',
  () => `<script type="module">${bundle.outputFiles[0].text}</script>`,
)
