import { Ajv } from 'ajv'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifySchema, FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify'
import type { Static, TSchema } from 'typebox'
import { LatchkeyError } from '../lib/errors.js'
import { FORMATS } from '../lib/identity/json-formats.js'
import { describeViolation } from './errors.js'

// These exist once for the process, because nearly all schemas are the same objects in every route and every
// registration. Ajv recognises schemas that it has compiled. For example, one schema for errors is in more than a
// hundred places. test/schemas.test.ts checks the schemas themselves, so that no start has to.
const ajv = new Ajv({ strict: false, allErrors: false, meta: false, validateSchema: false, formats: FORMATS })
const serializers = new WeakMap<object, Serializer>()

type Serializer = ReturnType<FastifySerializerCompiler<FastifySchema>>

/**
 * Creates a function that checks values that the host passes on from a request, by the same rules as a body.
 * @param name - what the values are, for the error: `invalid_request`, which names the member.
 */
export function createInputCheck<Schema extends TSchema> (
  schema: Schema, name: string
): (value: unknown) => Static<Schema> {
  const isValid = ajv.compile<Static<Schema>>(schema)
  return function checkInput (value) {
    if (isValid(value)) return value
    const [violation] = isValid.errors ?? []
    throw new LatchkeyError('invalid_request', violation && { message: describeViolation(violation, name) })
  }
}

/**
 * Sets the validation and serialization of our routes, whatever the host has set for its own. Unlike Fastify's default,
 * it coerces nothing (the number 1 is not a username) and removes nothing (a misspelt member is an error).
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

  // They are set for each route, not for the scope. If the host adds a schema later, Fastify rebuilds the compilers of
  // every scope with those of the host.
  app.addHook('onRoute', route => {
    route.validatorCompiler = validatorCompiler
    route.serializerCompiler = serializerCompiler
  })

  // The host may have a reply serializer for its own responses. Fastify itself uses undefined for none.
  app.setReplySerializer(undefined as unknown as Parameters<FastifyInstance['setReplySerializer']>[0])
}, { name: 'latchkey-validation', fastify: '5.x' })
