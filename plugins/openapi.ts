import fp from 'fastify-plugin'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { securitySchemes } from '../lib/http/security-schemes.js'
import { kSettings } from './settings.js'

export const kDocumentation = Symbol('latchkey.documentation')

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Returns a separate app with the OpenAPI document and the page that shows it. Absent if the option `docs` is off.
     */
    [kDocumentation]: () => Promise<FastifyInstance>
  }
}

/**
 * Makes the OpenAPI document from the schemas of the routes that are registered after this, and the page that shows it.
 */
export default fp(async function latchkeyOpenApi (app) {
  const settings = app[kSettings]
  if (app.hasDecorator('swagger')) joinHostDocument(app)
  else app.addHook('onReady', async () => warnAboutOrder(app))
  if (!settings.docs) return
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => { routes.push(route) })

  async function createDocumentation (): Promise<FastifyInstance> {
    // It is loaded for the first request, because it takes a twentieth of the time that a process needs to start, and
    // few processes ever need it.
    const { documentRoutes } = await import('./adapters/documentation.js')
    return await documentRoutes(routes, settings, app.prefix)
  }

  let documentation: Promise<FastifyInstance> | undefined
  app.decorate(kDocumentation, function getDocumentation () {
    documentation ??= createDocumentation().catch(error => {
      // The next request tries again, because a file that could not be read now may be there then.
      documentation = undefined
      throw error
    })
    return documentation
  })
  app.addHook('onClose', async function closeDocumentation () {
    // If it could not be made, the request that needed it got the error.
    const made = await documentation?.catch(() => undefined)
    await made?.close()
  })
}, { name: 'latchkey-openapi', fastify: '5.x', dependencies: ['latchkey-settings'] })

/** @fastify/swagger documents only the routes that are declared after it, and does not report the others. */
function warnAboutOrder (app: FastifyInstance): void {
  if (!app.hasDecorator('swagger')) return
  app.log.warn(
    "Register @fastify/swagger before fastify-latchkey. In the current order, its document lacks Latchkey's routes " +
    'and the security requirements of your guarded routes.'
  )
}

/**
 * Adds our security schemes to the host's own document. That document shows our routes and the host's guarded ones, and
 * cannot be made if it lacks a scheme that they name. The transformation of one of our routes adds those schemes that
 * the host has not declared itself.
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
          const definitions = Object.fromEntries(
            Object.keys(schemes).map(name => [
              name,
              { type: 'apiKey' as const, name: name === 'cookie' ? 'Cookie' : 'Authorization', in: 'header' }
            ])
          )
          document.swaggerObject.securityDefinitions = { ...definitions, ...document.swaggerObject.securityDefinitions }
        } else {
          document.openapiObject.components = { ...document.openapiObject.components }
          document.openapiObject.components.securitySchemes = {
            ...schemes,
            ...document.openapiObject.components.securitySchemes
          } as typeof schemes
        }
        return { schema: document.schema, url: document.url }
      }
    }
  })
}
