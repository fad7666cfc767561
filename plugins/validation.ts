import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import fp from 'fastify-plugin'
import type { FastifySerializerCompiler } from 'fastify'

/**
 * Validation and serialization of our routes, whatever the host has set for its own. Unlike Fastify's default nothing is
 * coerced (the number 1 is no username) and nothing is removed (a misspelt member is an error).
 */
export default fp(async function latchkeyValidation (app) {
  const ajv = addFormats.default(new Ajv({ strict: false, allErrors: false }))
  app.setValidatorCompiler(({ schema }) => ajv.compile(schema as object))
  app.setSerializerCompiler(SerializerSelector()({}, {}) as FastifySerializerCompiler<unknown>)
}, { name: 'latchkey-validation', fastify: '5.x' })
