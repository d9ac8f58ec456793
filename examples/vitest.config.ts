import base from '../vitest.config.js'

// For the examples with a package.json of their own, which `npm run examples` installs and builds first.
export default { ...base, test: { ...base.test, projects: undefined, include: ['examples/**/*.check.ts'] } }
