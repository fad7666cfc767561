import { IncomingMessage, ServerResponse } from 'node:http'
import type { OutgoingHttpHeaders } from 'node:http'
import { Socket } from 'node:net'
import fp from 'fastify-plugin'
import type { HelmetOptions } from 'helmet'
import { kSettings } from './settings.js'

/** A year, in seconds. */
const HSTS_MAX_AGE = 31_536_000

/** What no answer should lack, also one that no hook of ours has seen: a URL or a head that cannot be read. */
export const LEAST_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer'
} as const

/**
 * Headers for answers that are data and no pages: nothing in them runs, is framed, guessed at or embedded by another site. The
 * docs page is one, and sets a policy of its own: see `docs-page.ts`. Made once: set one by one, as @fastify/helmet does for each
 * request, they cost a fifth of a short answer; and to ask it for them by a request is a tenth of a start.
 */
export default fp(async function latchkeySecurityHeaders (app) {
  const { securityHeaders, issuer } = app[kSettings]
  if (!securityHeaders) return
  const headers = await makeHeaders({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { 'default-src': ["'none'"], 'base-uri': ["'none'"], 'form-action': ["'none'"], 'frame-ancestors': ["'none'"] }
    },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
    // Over plain http browsers ignore it; of the names below ours we know nothing.
    strictTransportSecurity: issuer.startsWith('https:') ? { maxAge: HSTS_MAX_AGE, includeSubDomains: false } : false
  })
  app.addHook('onRequest', function setSecurityHeaders (_request, reply, done) {
    reply.headers(headers)
    done()
  })
}, { name: 'latchkey-security-headers', fastify: '5.x', dependencies: ['latchkey-settings'] })

/** What helmet sets on an answer that nobody gets. */
async function makeHeaders (options: HelmetOptions): Promise<OutgoingHttpHeaders> {
  const { default: helmet } = await import('helmet')
  const request = new IncomingMessage(new Socket())
  const response = new ServerResponse(request)
  helmet(options)(request, response, error => {
    if (error !== undefined) throw error
  })
  return response.getHeaders()
}
