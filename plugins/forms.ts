import { parse as parseQuery } from 'node:querystring'
import fp from 'fastify-plugin'
import { LatchkeyError } from '../lib/errors.js'
import { BODY_LIMIT, decodeUtf8, notUtf8 } from './content-types.js'

/**
 * Parameters that must not be in a URL, because URLs end up in logs and histories: RFC 6749 section 2.3.1, RFC 6750
 * section 2.3.
 */
const SECRETS = ['client_secret', 'password', 'token', 'access_token', 'refresh_token']

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
      // RFC 6749 section 3.2: a parameter without a value counts as omitted.
      const given = Object.entries(parseQuery(text, '&', '=', { maxKeys: 100 })).filter(([, value]) => value !== '')
      done(null, Object.fromEntries(given))
    }
  )
}, { name: 'latchkey-forms', fastify: '5.x' })
