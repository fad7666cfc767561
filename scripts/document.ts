import openapiTS, { astToString } from 'openapi-typescript'
import { readDocument } from '../commands/document.js'

/** The committed document, from which the clients are generated: with every route, and no scopes but the built-in ones. */
export const documentUrl = new URL('../../openapi.json', import.meta.url)

/** What is to be in it. */
export async function makeDocument (): Promise<string> {
  return `${JSON.stringify(await readDocument({ registration: true, statusList: true }), null, 2)}\n`
}

/** The types of the client, made from the document. */
export const typesUrl = new URL('../../client/openapi.ts', import.meta.url)

/** What is to be in them. */
export async function makeTypes (document: string): Promise<string> {
  return `// Made from openapi.json by npm run openapi.\n\n${astToString(await openapiTS(document))}`
}
