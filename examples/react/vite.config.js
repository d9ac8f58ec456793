import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react()],
  // While Vite serves the page, server.js answers.
  server: { proxy: { '/api': 'http://localhost:3000' } },
})
