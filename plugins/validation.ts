import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifySchema, FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify'

/**
 * Validation and serialization of our routes, whatever the host has set for its own. Unlike Fastify's default nothing is
 * coerced (the number 1 is no username) and nothing is removed (a misspelt member is an error).
 */
export default fp(async function latchkeyValidation (app) {
  const { SerializerSelector } = await import('@fastify/fast-json-stringify-compiler')
  const ajv = addFormats.default(new Ajv({ strict: false, allErrors: false }))
  const validatorCompiler: FastifySchemaCompiler<FastifySchema> = ({ schema }) => ajv.compile(schema as object)
  const serializerCompiler = SerializerSelector()({}, {}) as FastifySerializerCompiler<FastifySchema>

  // For each route, not for the scope: a schema that the host adds later makes Fastify build the compilers of every scope anew,
  // as the host has them.
  app.addHook('onRoute', route => {
    route.validatorCompiler = validatorCompiler
    route.serializerCompiler = serializerCompiler
  })

  // The host may have one for its own answers. Undefined is how Fastify itself says that there is none.
  app.setReplySerializer(undefined as unknown as Parameters<FastifyInstance['setReplySerializer']>[0])
}, { name: 'latchkey-validation', fastify: '5.x' })
