import { writeFile } from 'node:fs/promises'
import { documentUrl, makeDocument, makeTypes, typesUrl } from './document.js'

const document = await makeDocument()
await writeFile(documentUrl, document)
await writeFile(typesUrl, makeTypes(document))
