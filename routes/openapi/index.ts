import type { FastifyPluginAsync } from 'fastify'
import { kDocumentation } from '../../plugins/openapi.js'
import { kSettings } from '../../plugins/settings.js'

export const autoPrefix = '/openapi.json'

const openapi: FastifyPluginAsync = async function openapi (app) {
  if (!app[kSettings].docs) return

  let document: string | undefined
  app.get('', { schema: { hide: true } }, async (_request, reply) => {
    document ??= JSON.stringify((await app[kDocumentation]()).swagger())
    return reply.type('application/json; charset=utf-8').send(document)
  })
}

export default openapi
