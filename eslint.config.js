// `npm run lint` installs the linter into scripts/lint. Editors look for its configuration here.
export { default } from './scripts/lint/eslint.config.js'
