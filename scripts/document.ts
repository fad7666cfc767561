import openapiTS, { astToString } from 'openapi-typescript'
import { readDocument } from '../commands/document.js'

/** The committed document, which clients are generated from. It has every route and only the built-in scopes. */
export const documentUrl = new URL('../../openapi.json', import.meta.url)

/** Returns the current content of the document. */
export async function makeDocument (): Promise<string> {
  return `${JSON.stringify(await readDocument({ registration: true, statusList: true }), null, 2)}\n`
}

/** The types of the client, generated from the document. */
export const typesUrl = new URL('../../client/openapi.ts', import.meta.url)

/** Returns the current content of the types. */
export async function makeTypes (document: string): Promise<string> {
  return `// Generated from openapi.json by npm run openapi.\n\n${astToString(await openapiTS(document))}`
}
