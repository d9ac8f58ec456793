// Whether a hole is known in what ships. Nothing ships but this package itself, so this says so for as long as it is
// true. A registry that cannot be reached is told and is no failure: the check must be possible without one.
import { execFile } from 'node:child_process'

const args = ['audit', '--omit=dev', '--json']
const report = await new Promise((resolve) => {
  execFile('npm', args, { timeout: 60_000, shell: process.platform === 'win32' }, (_, output) => resolve(output))
})

let audit
try {
  audit = JSON.parse(report)
} catch {
  audit = undefined
}
const { vulnerabilities, dependencies } = audit?.metadata ?? {}
if (!vulnerabilities) {
  console.log(`Not audited, the registry gave no report: ${audit?.message ?? audit?.error?.summary ?? 'no answer'}`)
} else if (vulnerabilities.total > 0) {
  console.error(
    `Known holes in what ships: ${Object.keys(audit.vulnerabilities).join(', ')}. See \`npm audit --omit=dev\`.`,
  )
  process.exitCode = 1
} else {
  // The package counts itself.
  console.log(`No known holes in what ships, which is ${dependencies.prod - 1} other packages.`)
}
