import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { kSettings } from './settings.js'

/** The OpenAPI document, from the schemas of the routes registered after this, and the page that shows it. */
export default fp(async function latchkeyOpenApi (app) {
  const { docs, catalogue, cookiesSecure } = app[kSettings]
  if (!docs) return
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Latchkey', description: 'Log in, refresh, revoke, check scopes.', version: '0.1.0', license: { name: 'MIT', identifier: 'MIT' } },
      components: {
        securitySchemes: {
          bearer: {
            type: 'oauth2',
            description: 'An access token in the Authorization header (RFC 6750).',
            flows: { password: { tokenUrl: `${app.prefix}/token`, refreshUrl: `${app.prefix}/token`, scopes: { ...catalogue } } }
          },
          cookie: {
            type: 'apiKey',
            in: 'cookie',
            name: `${cookiesSecure ? '__Host-' : ''}access_token`,
            description: 'An access token in the HttpOnly cookie that POST /login sets.'
          }
        }
      }
    }
  })
  await app.register(fastifySwaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    uiConfig: { persistAuthorization: false, validatorUrl: null },
    initOAuth: { clientId: '', scopes: [] }
  })
}, { name: 'latchkey-openapi', fastify: '5.x', dependencies: ['latchkey-settings'] })
