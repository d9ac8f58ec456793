import base from '../../vitest.config.js'

// For the packages that are not in the lock file of the repository: `npm run packages` installs and tries them.
export default { ...base, test: { ...base.test, projects: undefined, include: ['test/packages/**/*.check.ts'] } }
