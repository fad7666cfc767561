import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { LatchkeyError } from '../lib/errors.js'
import { kDocumentation } from './openapi.js'
import { kSettings } from './settings.js'

/** Serves the page that shows the OpenAPI document, with "Authorize" and "Try it out", if the option `docs` is on. */
export default fp(async function latchkeyDocsPage (app) {
  if (!app[kSettings].docs) return

  /**
   * Whether a request is for the page itself. A URL parser reads `/docs/%2e%2e/token` as `/token`, and the app behind
   * the page has all documented routes, but without their handlers.
   */
  function isOfPage (url: string): boolean {
    const { pathname } = new URL(url, 'http://localhost')
    return pathname === `${app.prefix}/docs` || pathname.startsWith(`${app.prefix}/docs/`)
  }

  async function sendFromPage (
    { url, headers: { 'if-none-match': known } }: FastifyRequest,
    reply: FastifyReply
  ): Promise<FastifyReply> {
    if (!isOfPage(url)) throw new LatchkeyError('not_found')
    const page = await app[kDocumentation]()
    const { statusCode, headers, rawPayload } = await page.inject({
      method: 'GET',
      url,
      headers: known === undefined ? {} : { 'if-none-match': known }
    })
    if (statusCode >= 500) throw new Error(`The docs page answered ${statusCode}: ${rawPayload.toString()}`)
    if (statusCode >= 400) throw new LatchkeyError('not_found')
    // Ranges are not served. The whole is also a valid response to a request for one.
    const { date: _date, connection: _connection, 'accept-ranges': _ranges, ...kept } = headers
    return reply.code(statusCode).headers(kept).send(statusCode === 304 ? undefined : rawPayload)
  }

  for (const url of ['/docs', '/docs/*']) app.get(url, { schema: { hide: true } }, sendFromPage)
}, { name: 'latchkey-docs-page', fastify: '5.x', dependencies: ['latchkey-settings', 'latchkey-openapi'] })
