import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react()],
  // While Vite serves the page, server.js answers.
  server: {
    proxy: {
      '/api': {
        target: 'http://localhost:3000',
        // The server has died, or starts anew: the page is told.
        configure(proxy) {
          proxy.on('proxyRes', (fromServer, _req, res) => fromServer.on('aborted', () => res.destroy()))
        },
      },
    },
  },
})
