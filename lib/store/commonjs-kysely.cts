// The types are those of the ES build, which all other files import. The two builds have private members, so the
// compiler takes them for different classes.
type Kysely = typeof import('kysely', { with: { 'resolution-mode': 'import' } })

const kysely = require('kysely') as Kysely

// A property, because bundlers disagree about the default export of a CommonJS module that has `__esModule`.
export = { kysely }
