const { existsSync } = require('node:fs')
const { join } = require('node:path')

// The lines of CHANGELOG.md: the story of each changeset as it was written, without the hash of its commit, which is no
// news to a reader. Nobody had a version before the first: while that waits, it is all that is said.
const isFirst = existsSync(join(__dirname, 'first-release.md'))
const getReleaseLine = async ({ id, summary }) => {
  if (isFirst && id !== 'first-release') return ''
  const [first, ...rest] = summary.trim().split('\n')
  return `- ${[first, ...rest.map((line) => (line === '' ? '' : `  ${line}`))].join('\n')}`
}
// There is one package here, and nothing that depends on it.
const getDependencyReleaseLine = async () => ''

module.exports = { getReleaseLine, getDependencyReleaseLine }
