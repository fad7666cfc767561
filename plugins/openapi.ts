import { readFileSync } from 'node:fs'
import fastifySwagger from '@fastify/swagger'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { nameComponents } from '../lib/openapi-components.js'
import type { Settings } from '../lib/options.js'
import { kSettings } from './settings.js'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

/** How a request can carry an access token, and how a machine client authenticates, as components of an OpenAPI document. */
function securitySchemes ({ catalogue, cookiesSecure, passwordGrant }: Settings, prefix: string) {
  const endpoint = { tokenUrl: `${prefix}/token`, scopes: { ...catalogue } }
  return {
    oauth2: {
      type: 'oauth2' as const,
      description: 'Get an access token with a username and a password, or as a machine client.',
      flows: {
        ...(passwordGrant ? { password: { ...endpoint, refreshUrl: endpoint.tokenUrl } } : {}),
        clientCredentials: endpoint
      }
    },
    bearer: {
      type: 'http' as const,
      scheme: 'bearer',
      bearerFormat: 'JWT',
      description: 'An access token in the Authorization header (RFC 6750).'
    },
    cookie: {
      type: 'apiKey' as const,
      in: 'cookie',
      name: `${cookiesSecure ? '__Host-' : ''}access_token`,
      description: 'An access token in the HttpOnly cookie that POST /login sets.'
    },
    client: {
      type: 'http' as const,
      scheme: 'basic',
      description: 'Id and secret of a machine client (RFC 6749 section 2.3.1).'
    }
  }
}

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

/** The OpenAPI document, from the schemas of the routes registered after this, and the page that shows it. */
export default fp(async function latchkeyOpenApi (app) {
  const settings = app[kSettings]
  if (app.hasDecorator('swagger')) joinHostDocument(app)
  if (!settings.docs) return
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
      components: { securitySchemes: securitySchemes(settings, app.prefix) }
    },
    transformObject (document) {
      if (!('openapiObject' in document)) return document.swaggerObject
      nameComponents(document.openapiObject)
      return document.openapiObject
    }
  })
}, { name: 'latchkey-openapi', fastify: '5.x', dependencies: ['latchkey-settings'] })

/**
 * The host's own document shows our routes and its guarded ones, and cannot be made when it lacks a scheme that they name. The
 * transformation of one route of ours adds those that the host has not declared itself.
 */
function joinHostDocument (app: FastifyInstance): void {
  const schemes = securitySchemes(app[kSettings], app.prefix)
  let isFirst = true
  app.addHook('onRoute', route => {
    if (!isFirst) return
    isFirst = false
    route.config = {
      ...route.config,
      swaggerTransform (document) {
        if ('swaggerObject' in document) {
          const definitions = Object.fromEntries(Object.keys(schemes).map(name => [name, { type: 'apiKey' as const, name: name === 'cookie' ? 'Cookie' : 'Authorization', in: 'header' }]))
          document.swaggerObject.securityDefinitions = { ...definitions, ...document.swaggerObject.securityDefinitions }
        } else {
          document.openapiObject.components = { ...document.openapiObject.components }
          document.openapiObject.components.securitySchemes = { ...schemes, ...document.openapiObject.components.securitySchemes } as typeof schemes
        }
        return { schema: document.schema, url: document.url }
      }
    }
  })
}
