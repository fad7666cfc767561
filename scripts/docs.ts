import { readFile, writeFile } from 'node:fs/promises'
import { renderTables } from './tables.js'

// `npm run docs`: makes the tables of the README anew. A test fails where somebody forgot to.
await writeFile('README.md', await renderTables(await readFile('README.md', 'utf8')))
