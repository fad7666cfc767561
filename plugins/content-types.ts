import fp from 'fastify-plugin'
import type { preValidationHookHandler } from 'fastify'
import { LatchkeyError } from '../lib/errors.js'

/** In bytes. The largest body in the API is a password change. */
export const BODY_LIMIT = 16 * 1024

/**
 * Makes our routes read only JSON, whatever parsers the host has for its own routes. The OAuth endpoints also read
 * forms: see `forms.ts`. Text that is not UTF-8 is refused, because lenient decoding would turn two different passwords
 * into one.
 */
export default fp(async function latchkeyContentTypes (app) {
  app.removeAllContentTypeParsers()

  // `error` refuses a body with `__proto__` or `constructor.prototype`, because no honest client sends one.
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (request, body, done) => {
    const text = decodeUtf8(body as Buffer)
    if (text === undefined) return done(notUtf8())
    // A client that names a type may still send no body.
    if (text === '') return done(null, null)
    return parseJson(request, text, done)
  })
}, { name: 'latchkey-content-types', fastify: '5.x' })

/** A preValidation hook for routes whose members are all optional. It turns a missing body into an empty object. */
export const allowNoBody: preValidationHookHandler = function allowNoBody (request, _reply, done) {
  request.body ??= {}
  done()
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Returns the text of a body, or undefined if it is not valid UTF-8. */
export function decodeUtf8 (body: Buffer): string | undefined {
  try {
    return utf8.decode(body)
  } catch {
    return undefined
  }
}

/** Makes the error for a body that is not valid UTF-8. */
export function notUtf8 (): LatchkeyError {
  return new LatchkeyError('invalid_request', { message: 'The request body is not valid UTF-8.' })
}
