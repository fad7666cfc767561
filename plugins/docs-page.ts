import fp from 'fastify-plugin'
import type { FastifySwaggerUiConfigOptions } from '@fastify/swagger-ui'
import { kSettings } from './settings.js'

/**
 * What the page may do: run the scripts and styles beside it, and call the host that it came from. Nothing inline, nothing of
 * another host, and no frame around it, in which somebody's password could be asked for. Its icons are in its styles.
 */
const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
].join('; ')

/**
 * Runs in the page, and knows nothing of this file. Whoever authorized there may be logged in to the app as well, and a request
 * with a token in its header and another one in its cookie is refused.
 */
const preferHeader: FastifySwaggerUiConfigOptions['requestInterceptor'] = function preferHeader (request) {
  if (request.headers.Authorization !== undefined) request.credentials = 'omit'
  return request
}

/** The page that shows the OpenAPI document, with its Authorize and its Try it out: where the option `docs` is on. */
export default fp(async function latchkeyDocsPage (app) {
  if (!app[kSettings].docs) return
  // Most host apps never need it.
  const { default: fastifySwaggerUi } = await import('@fastify/swagger-ui')
  await app.register(fastifySwaggerUi, {
    routePrefix: '/docs',
    indexPrefix: app.prefix,
    staticCSP: POLICY,
    // Without the bar on top, whose logo has a style in it, and whose field is for documents of other hosts.
    uiConfig: { layout: 'BaseLayout', persistAuthorization: false, validatorUrl: null, requestInterceptor: preferHeader },
    // A first-party app: no registered client, and no scope is asked for that nobody ticked.
    initOAuth: { clientId: '', scopes: [] }
  })
}, { name: 'latchkey-docs-page', fastify: '5.x', dependencies: ['latchkey-settings', 'latchkey-openapi'] })
