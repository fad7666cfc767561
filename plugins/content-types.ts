import { parse as parseQuery } from 'node:querystring'
import fp from 'fastify-plugin'
import { LatchkeyError } from '../lib/errors.js'

/** Bytes; the largest body of the contract is a password change. */
const BODY_LIMIT = 16 * 1024

/**
 * Our routes read JSON and, for the OAuth endpoints, forms, and nothing else, whatever parsers the host has for its own.
 * Text that is not UTF-8 is refused: decoded leniently, two different passwords would become one.
 */
export default fp(async function latchkeyContentTypes (app) {
  app.removeAllContentTypeParsers()

  // `error`: a body that holds `__proto__` or `constructor.prototype` is no mistake.
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (request, body, done) => {
    const text = decode(body as Buffer)
    if (text === undefined) return done(notUtf8())
    // A client that names a type and sends nothing sends nothing.
    if (text === '') return done(null, null)
    return parseJson(request, text, done)
  })

  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (_request, body, done) => {
    const text = decode(body as Buffer)
    if (text === undefined) return done(notUtf8())
    try {
      decodeURIComponent(text) // Of one mind with the parser about what is well-formed; unlike it, it says so.
    } catch {
      return done(notUtf8())
    }
    // RFC 6749 section 3.2: a parameter without a value is as if it were omitted.
    done(null, Object.fromEntries(Object.entries(parseQuery(text, '&', '=', { maxKeys: 100 })).filter(([, value]) => value !== '')))
  })
}, { name: 'latchkey-content-types', fastify: '5.x' })

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decode (body: Buffer): string | undefined {
  try {
    return utf8.decode(body)
  } catch {
    return undefined
  }
}

function notUtf8 (): LatchkeyError {
  return new LatchkeyError('invalid_request', { message: 'The request body is not valid UTF-8.' })
}
