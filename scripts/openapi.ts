import { writeFile } from 'node:fs/promises'
import { documentUrl, makeDocument } from './document.js'

await writeFile(documentUrl, await makeDocument())
