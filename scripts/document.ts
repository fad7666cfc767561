import { readDocument } from '../commands/document.js'

/** The committed document, from which the clients are generated: with every route, and no scopes but the built-in ones. */
export const documentUrl = new URL('../../openapi.json', import.meta.url)

/** What is to be in it. */
export async function makeDocument (): Promise<string> {
  return `${JSON.stringify(await readDocument({ registration: true }), null, 2)}\n`
}
