import { readFileSync } from 'node:fs'
import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import type { FastifySwaggerUiConfigOptions } from '@fastify/swagger-ui'
import { fastify } from 'fastify'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { nameComponents } from '../lib/http/openapi-components.js'
import type { Settings } from '../lib/options/options.js'
import { securitySchemes } from '../lib/http/security-schemes.js'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

const TAGS = [
  { name: 'tokens', description: 'The OAuth endpoints: get, exchange, revoke and inspect tokens.' },
  { name: 'browser', description: 'The same with cookies that no script can read.' },
  { name: 'sessions', description: 'Where a user is logged in.' },
  { name: 'users', description: 'The own account, and those of others for administrators.' },
  { name: 'clients', description: 'Machine clients.' },
  { name: 'audit', description: 'What happened.' },
  { name: 'revocations', description: 'What is revoked, for verifiers elsewhere.' },
  { name: 'service', description: 'Keys, metadata, health and metrics.' }
]

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

/**
 * An app of its own that documents routes of another one, and answers to nobody but that one: `swagger()` gives the document, and
 * under `/docs` is the page.
 * @param routes - with their prefix in their URLs; those that are hidden are left out.
 * @param prefix - of the page.
 */
export async function documentRoutes (routes: readonly RouteOptions[], settings: Settings, prefix: string): Promise<FastifyInstance> {
  const app = fastify({ logger: false, exposeHeadRoutes: false })
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Latchkey',
        description: 'Log in, refresh, revoke, check scopes.',
        version,
        contact: { name: 'The authors of Latchkey' },
        license: { name: 'MIT', url: 'https://spdx.org/licenses/MIT.html' }
      },
      // Relative: the document is right wherever it is fetched from.
      servers: [{ url: '/' }],
      tags: TAGS,
      // An operation that names no scheme needs none.
      security: [],
      components: { securitySchemes: securitySchemes(settings, prefix) }
    },
    transformObject (document) {
      if (!('openapiObject' in document)) return document.swaggerObject
      nameComponents(document.openapiObject)
      return document.openapiObject
    }
  })
  await app.register(fastifySwaggerUi, {
    routePrefix: `${prefix}/docs`,
    staticCSP: POLICY,
    // Without the bar on top, whose logo has a style in it, and whose field is for documents of other hosts.
    uiConfig: { layout: 'BaseLayout', persistAuthorization: false, validatorUrl: null, requestInterceptor: preferHeader },
    // A first-party app: no registered client, and no scope is asked for that nobody ticked.
    initOAuth: { clientId: '', scopes: [] }
  })
  // Only their schemas matter: nobody asks for them here.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => () => '')
  for (const { method, url, schema } of routes) {
    if (method !== 'HEAD' && schema?.hide !== true) app.route({ method, url, schema, handler: (_request, reply) => reply.callNotFound() })
  }
  await app.ready()
  return app
}
