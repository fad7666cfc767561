import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { LatchkeyError } from '../lib/errors.js'
import { kDocumentation } from './openapi.js'
import { kSettings } from './settings.js'

/** The page that shows the OpenAPI document, with its Authorize and its Try it out: where the option `docs` is on. */
export default fp(async function latchkeyDocsPage (app) {
  if (!app[kSettings].docs) return

  /**
   * Whether the page itself is asked for. As a URL is read, `/docs/%2e%2e/token` is `/token`: what is behind the page has the routes
   * that it documents, and they lead nowhere.
   */
  function isOfPage (url: string): boolean {
    const { pathname } = new URL(url, 'http://localhost')
    return pathname === `${app.prefix}/docs` || pathname.startsWith(`${app.prefix}/docs/`)
  }

  async function sendFromPage ({ url, headers: { 'if-none-match': known } }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (!isOfPage(url)) throw new LatchkeyError('not_found')
    const page = await app[kDocumentation]()
    const { statusCode, headers, rawPayload } = await page.inject({ method: 'GET', url, headers: known === undefined ? {} : { 'if-none-match': known } })
    if (statusCode >= 500) throw new Error(`The docs page answered ${statusCode}: ${rawPayload.toString()}`)
    if (statusCode >= 400) throw new LatchkeyError('not_found')
    // Parts are not served: to who asks for one the whole is an answer too.
    const { date: _date, connection: _connection, 'accept-ranges': _ranges, ...kept } = headers
    return reply.code(statusCode).headers(kept).send(statusCode === 304 ? undefined : rawPayload)
  }

  for (const url of ['/docs', '/docs/*']) app.get(url, { schema: { hide: true } }, sendFromPage)
}, { name: 'latchkey-docs-page', fastify: '5.x', dependencies: ['latchkey-settings', 'latchkey-openapi'] })
