import { parse as parseQuery } from 'node:querystring'
import fp from 'fastify-plugin'
import { LatchkeyError } from '../lib/errors.js'
import { BODY_LIMIT, decodeUtf8, notUtf8 } from './content-types.js'

/** What has no place in a URL, which ends up in logs and histories: RFC 6749 section 2.3.1, RFC 6750 section 2.3. */
const SECRETS = ['client_secret', 'password', 'token', 'access_token', 'refresh_token']

/**
 * What the OAuth endpoints take. Forms, and they only: a page of another site can post a form without asking first, so no route
 * that acts on cookies takes one. Nothing is read from the URL; a secret in it is refused, so that whoever put it there hears of it.
 */
export default fp(async function latchkeyForms (app) {
  app.addHook('onRequest', async function refuseSecretsInUrl (request) {
    const query = request.query as Record<string, unknown>
    const found = SECRETS.find(name => query[name] !== undefined)
    if (found !== undefined) throw new LatchkeyError('invalid_request', { message: `The parameter '${found}' belongs into the body, never into the URL.` })
  })
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (_request, body, done) => {
    const text = decodeUtf8(body as Buffer)
    if (text === undefined) return done(notUtf8())
    try {
      decodeURIComponent(text) // Of one mind with the parser about what is well-formed; unlike it, it says so.
    } catch {
      return done(notUtf8())
    }
    // RFC 6749 section 3.2: a parameter without a value is as if it were omitted.
    done(null, Object.fromEntries(Object.entries(parseQuery(text, '&', '=', { maxKeys: 100 })).filter(([, value]) => value !== '')))
  })
}, { name: 'latchkey-forms', fastify: '5.x' })
