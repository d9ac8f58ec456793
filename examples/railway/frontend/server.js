// The page, as Vite has built it. Any host of static files does as well.
import { fileURLToPath } from 'node:url'
import express from 'express'

const app = express()
app.use(express.static(fileURLToPath(new URL('dist', import.meta.url))))

const server = app.listen(Number(process.env.PORT ?? 3000), '0.0.0.0', () =>
  console.log(`frontend: http://localhost:${server.address().port}`),
)
process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
})
