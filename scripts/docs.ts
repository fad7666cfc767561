import { readFile, writeFile } from 'node:fs/promises'
import { renderPages } from './tables.js'

// `npm run docs`: regenerates the tables in docs/reference. A test fails if they are out of date.
const pages = await renderPages(path => readFile(path, 'utf8'))
for (const [path, text] of Object.entries(pages)) await writeFile(path, text)
