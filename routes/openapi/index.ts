import { createHash } from 'node:crypto'
import type { FastifyPluginAsync } from 'fastify'
import { isKnown } from '../../lib/http/etag.js'
import { kDocumentation } from '../../plugins/openapi.js'
import { kSettings } from '../../plugins/settings.js'

const openapi: FastifyPluginAsync = async function openapi (app) {
  if (!app[kSettings].docs) return

  let made: { document: string, etag: string } | undefined

  async function make (): Promise<{ document: string, etag: string }> {
    const document = JSON.stringify((await app[kDocumentation]()).swagger())
    return { document, etag: `"${createHash('sha256').update(document).digest('base64url')}"` }
  }

  app.get('', { schema: { hide: true } }, async (request, reply) => {
    const { document, etag } = made ??= await make()
    // A cache may store it, but must revalidate it each time, because the next version has another document.
    reply.header('cache-control', 'public, no-cache').header('etag', etag)
    if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send()
    return reply.type('application/json; charset=utf-8').send(document)
  })
}

export default openapi
