import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { readDocument } from '../commands/document.js'

/** The committed document, from which clients are generated. It has all routes, but only the built-in scopes. */
export const documentUrl = new URL('../../openapi.json', import.meta.url)

/** Renders the document. */
export async function makeDocument (): Promise<string> {
  return `${JSON.stringify(await readDocument({ registration: true, statusList: true }), null, 2)}\n`
}

/** The types of the client, which are generated from the document. */
export const typesUrl = new URL('../../client/openapi.ts', import.meta.url)

/** Renders the types. */
export async function makeTypes (document: string): Promise<string> {
  return `// Made from openapi.json by npm run openapi.\n\n${astToString(await openapiTS(document))}`
}
