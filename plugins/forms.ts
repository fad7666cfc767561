import { parse as parseQuery } from 'node:querystring'
import { Busboy } from '@fastify/busboy'
import fp from 'fastify-plugin'
import { LatchkeyError } from '../lib/errors.js'
import { BODY_LIMIT, decodeUtf8, notUtf8 } from './content-types.js'

/**
 * Parameters that must not be in a URL, because URLs end up in logs and histories: RFC 6749 section 2.3.1, RFC 6750
 * section 2.3.
 */
const SECRETS = ['client_secret', 'password', 'token', 'access_token', 'refresh_token']

/** The most fields of a form. */
const MAX_FIELDS = 100

/**
 * Lets the OAuth endpoints read forms. Only they do, because a page of another site can post a form without a
 * preflight, so no route that acts on cookies may accept one. Nothing is read from the URL. A secret in it is refused,
 * so that its sender learns of the mistake.
 */
export default fp(async function latchkeyForms (app) {
  app.addHook('onRequest', async function refuseSecretsInUrl (request) {
    const query = request.query as Record<string, unknown>
    const found = SECRETS.find(name => query[name] !== undefined)
    if (found === undefined) return
    throw new LatchkeyError('invalid_request', {
      message: `Send the parameter '${found}' in the body, never in the URL.`
    })
  })
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT },
    (_request, body, done) => {
      const text = decodeUtf8(body as Buffer)
      if (text === undefined) return done(notUtf8())
      try {
        // It agrees with the parser about what is well-formed, but throws if the text is not.
        decodeURIComponent(text)
      } catch {
        return done(notUtf8())
      }
      done(null, withoutEmpty(parseQuery(text, '&', '=', { maxKeys: MAX_FIELDS })))
    }
  )
  app.addContentTypeParser(
    'multipart/form-data',
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT },
    async (request: { headers: { 'content-type'?: string } }, body: Buffer) => {
      if (decodeUtf8(body) === undefined) throw notUtf8()
      return withoutEmpty(await readParts(body, request.headers['content-type'] ?? ''))
    }
  )
}, { name: 'latchkey-forms', fastify: '5.x' })

/** RFC 6749 section 3.2: a parameter without a value counts as omitted. */
function withoutEmpty (fields: NodeJS.Dict<string | string[]>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''))
}

/**
 * Reads the fields of a `multipart/form-data` body (RFC 7578), which clients of FastAPI send. A name that occurs twice
 * has a list of values, as in the other form, and the schema refuses it.
 */
async function readParts (body: Buffer, contentType: string): Promise<Record<string, string | string[]>> {
  return await new Promise((resolve, reject) => {
    const fields = new Map<string, string[]>()
    const refuse = (message: string): void => reject(new LatchkeyError('invalid_request', { message }))
    try {
      const parser = new Busboy({
        headers: { 'content-type': contentType },
        // The body is small, so no part needs a limit of its own.
        limits: { fields: MAX_FIELDS, parts: MAX_FIELDS, files: 0, fieldSize: BODY_LIMIT, headerPairs: MAX_FIELDS }
      })
      parser
        .on('field', (name: string | undefined, value: string) => {
          if (name !== undefined) fields.set(name, [...fields.get(name) ?? [], value])
        })
        .on('filesLimit', () => refuse('A form with a file is not accepted: send text fields only.'))
        .on('fieldsLimit', () => refuse(`A form can have at most ${MAX_FIELDS} fields.`))
        .on('partsLimit', () => refuse(`A form can have at most ${MAX_FIELDS} fields.`))
        .on('error', () => refuse('The form cannot be read.'))
        .on('finish', () => {
          resolve(Object.fromEntries([...fields].map(([name, [first = '', ...others]]) =>
            [name, others.length === 0 ? first : [first, ...others]])))
        })
        .end(body)
    } catch {
      refuse('The form cannot be read: its content type names no boundary.')
    }
  })
}
