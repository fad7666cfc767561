import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { readDocument } from '../commands/document.js'

/** The committed document, which clients are generated from. It has every route and only the built-in scopes. */
export const documentUrl = new URL('../../openapi.json', import.meta.url)

/** Returns the current content of the document. */
export async function makeDocument (): Promise<string> {
  return `${JSON.stringify(await readDocument({ registration: true, statusList: true }), null, 2)}\n`
}

/** The types of the client, generated from the document. */
export const typesUrl = new URL('../../client/openapi.ts', import.meta.url)

/** `npm run openapi` installs openapi-typescript there. */
const GENERATOR = new URL('../../test/foreign/node_modules/openapi-typescript/bin/cli.js', import.meta.url)

/** Returns the types of a document, with our own first line instead of that of the generator. */
export function makeTypes (document: string): string {
  const types = execFileSync(process.execPath, [fileURLToPath(GENERATOR)], { input: document, encoding: 'utf8' })
  return `// Generated from openapi.json by npm run openapi.\n\n${types.slice(types.indexOf('export '))}`
}
