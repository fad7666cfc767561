import { parse as parseQuery } from 'node:querystring'
import fp from 'fastify-plugin'
import { BODY_LIMIT, decodeUtf8, notUtf8 } from './content-types.js'

/**
 * Forms, for the OAuth endpoints only: a page of another site can post a form without asking first, so no route that acts on
 * cookies takes one.
 */
export default fp(async function latchkeyForms (app) {
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
