import { Ajv } from 'ajv'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifySchema, FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify'
import { FORMATS } from '../lib/identity/json-formats.js'

// Once for the process: nearly all schemas are the same objects in every route and every registration. Ajv knows again by itself
// what it has compiled; the answers with errors alone are one schema in more than a hundred places. The schemas themselves are
// checked by test/schemas.test.ts, not at each start.
const ajv = new Ajv({ strict: false, allErrors: false, meta: false, validateSchema: false, formats: FORMATS })
const serializers = new WeakMap<object, Serializer>()

type Serializer = ReturnType<FastifySerializerCompiler<FastifySchema>>

/**
 * Validation and serialization of our routes, whatever the host has set for its own. Unlike Fastify's default nothing is
 * coerced (the number 1 is no username) and nothing is removed (a misspelt member is an error).
 */
export default fp(async function latchkeyValidation (app) {
  const { SerializerSelector } = await import('@fastify/fast-json-stringify-compiler')
  const validatorCompiler: FastifySchemaCompiler<FastifySchema> = ({ schema }) => ajv.compile(schema as object)
  const compile = SerializerSelector()({}, {}) as FastifySerializerCompiler<FastifySchema>
  const serializerCompiler: FastifySerializerCompiler<FastifySchema> = route => {
    const serializer = serializers.get(route.schema) ?? compile(route)
    serializers.set(route.schema, serializer)
    return serializer
  }

  // For each route, not for the scope: a schema that the host adds later makes Fastify build the compilers of every scope anew,
  // as the host has them.
  app.addHook('onRoute', route => {
    route.validatorCompiler = validatorCompiler
    route.serializerCompiler = serializerCompiler
  })

  // The host may have one for its own answers. Undefined is how Fastify itself says that there is none.
  app.setReplySerializer(undefined as unknown as Parameters<FastifyInstance['setReplySerializer']>[0])
}, { name: 'latchkey-validation', fastify: '5.x' })
