// What a release makes of the changesets that wait: the version, in package.json and the lock file, and the changelog.
import { execSync } from 'node:child_process'

const run = (command) => execSync(command, { stdio: 'inherit' })
run('npx changeset version')
run('npm install --package-lock-only --ignore-scripts')
