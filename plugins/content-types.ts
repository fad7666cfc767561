import fp from 'fastify-plugin'
import type { preValidationHookHandler } from 'fastify'
import { LatchkeyError } from '../lib/errors.js'

/** Bytes; the largest body of the contract is a password change. */
export const BODY_LIMIT = 16 * 1024

/**
 * Our routes read JSON and nothing else (the OAuth endpoints read forms too: see `forms.ts`), whatever parsers the host has for
 * its own. Text that is not UTF-8 is refused: decoded leniently, two different passwords would become one.
 */
export default fp(async function latchkeyContentTypes (app) {
  app.removeAllContentTypeParsers()

  // `error`: a body that holds `__proto__` or `constructor.prototype` is no mistake.
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (request, body, done) => {
    const text = decodeUtf8(body as Buffer)
    if (text === undefined) return done(notUtf8())
    // A client that names a type and sends nothing sends nothing.
    if (text === '') return done(null, null)
    return parseJson(request, text, done)
  })
}, { name: 'latchkey-content-types', fastify: '5.x' })

/** A preValidation hook, for routes whose members are all optional: no body is an empty object. */
export const allowNoBody: preValidationHookHandler = function allowNoBody (request, _reply, done) {
  request.body ??= {}
  done()
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The text of a body, or undefined where it is not valid UTF-8. */
export function decodeUtf8 (body: Buffer): string | undefined {
  try {
    return utf8.decode(body)
  } catch {
    return undefined
  }
}

/** The error for a body that is not valid UTF-8. */
export function notUtf8 (): LatchkeyError {
  return new LatchkeyError('invalid_request', { message: 'The request body is not valid UTF-8.' })
}
