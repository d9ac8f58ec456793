import { execFileSync } from 'node:child_process'

/**
 * A key and a certificate that nobody has signed, in one text, made by this machine's `openssl`. Without that there is
 * none, and on CI an error.
 */
export const certificate = ((): string | undefined => {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '-']
  const subject = ['-subj', '/CN=localhost', '-days', '1']
  try {
    return execFileSync('openssl', ['req', '-x509', ...key, ...subject], { encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    if (process.env.CI) throw error
  }
})()
