import { readFileSync } from 'node:fs'
import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import { fastify } from 'fastify'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { showOnPage } from '../../lib/http/page-document.js'
import { nameComponents } from '../../lib/http/openapi-components.js'
import type { Settings } from '../../lib/options/options.js'
import { securitySchemes } from '../../lib/http/security-schemes.js'
import { THEME } from './docs-theme.js'

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const TAGS = [
  { name: 'tokens', description: 'The OAuth endpoints: get, exchange, revoke and inspect tokens.' },
  { name: 'browser', description: 'Log in, refresh and log out with cookies that no script can read.' },
  { name: 'sessions', description: 'List and end the sessions of a user.' },
  { name: 'users', description: 'Your own account, and for administrators all accounts.' },
  { name: 'clients', description: 'Machine clients.' },
  { name: 'keys', description: 'Personal access tokens: create, list and revoke them.' },
  { name: 'audit', description: 'Read the audit trail.' },
  { name: 'revocations', description: 'Follow revocations, for verifiers in other processes.' },
  { name: 'service', description: 'Keys, metadata, health and metrics.' }
]

/**
 * The policy of the page. It may use the scripts and styles beside it, and call the host that it came from. Nothing may
 * be inline or come from another host. No frame may contain the page, because the frame could ask for a password. The
 * icons are in the styles.
 */
const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
].join('; ')

/**
 * Creates an app that documents the routes of another app, and answers only that app. `swagger()` returns the document,
 * and the page is under `/docs`.
 * @param routes - with their prefix in their URLs. Hidden routes are left out.
 * @param prefix - the prefix of the page.
 */
export async function documentRoutes (
  routes: readonly RouteOptions[],
  settings: Settings,
  prefix: string
): Promise<FastifyInstance> {
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
      // It is relative, so the document is right at every URL.
      servers: [{ url: '/' }],
      tags: TAGS,
      // By default an operation needs no scheme.
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
    theme: THEME,
    // It gets a copy of the document.
    transformSpecification: document => showOnPage(document as Parameters<typeof showOnPage>[0], prefix),
    // This layout has no bar at the top. The logo of the bar has an inline style, and its field loads other documents.
    uiConfig: {
      layout: 'BaseLayout',
      persistAuthorization: false,
      validatorUrl: null
    },
    // The page is a first-party app. It has no registered client, and asks for no scope that the user has not ticked.
    initOAuth: { clientId: '', scopes: [] }
  })
  // Only the schemas of the routes matter, because they are never called here.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => () => '')
  for (const { method, url, schema } of routes) {
    if (method !== 'HEAD' && schema?.hide !== true) {
      app.route({ method, url, schema, handler: (_request, reply) => reply.callNotFound() })
    }
  }
  await app.ready()
  return app
}
