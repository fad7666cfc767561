import type { FastifyPluginAsync } from 'fastify'
import { kSettings } from '../../plugins/settings.js'

export const autoPrefix = '/openapi.json'

const openapi: FastifyPluginAsync = async function openapi (app) {
  if (!app[kSettings].docs) return

  let document: string | undefined
  app.get('', { schema: { hide: true } }, async (_request, reply) => {
    document ??= JSON.stringify(app.swagger())
    return reply.type('application/json; charset=utf-8').send(document)
  })
}

export default openapi
