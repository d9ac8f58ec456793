// The lines of CHANGELOG.md: the story of each changeset as it was written, without the hash of its commit, which is no
// news to a reader.
const getReleaseLine = async ({ summary }) => {
  const [first, ...rest] = summary.trim().split('\n')
  return `- ${[first, ...rest.map((line) => (line === '' ? '' : `  ${line}`))].join('\n')}`
}
// There is one package here, and nothing that depends on it.
const getDependencyReleaseLine = async () => ''

module.exports = { getReleaseLine, getDependencyReleaseLine }
