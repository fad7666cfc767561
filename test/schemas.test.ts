import { readdir } from 'node:fs/promises'
import { Ajv } from 'ajv'
import t from 'tap'
import { fastify } from 'fastify'
import type { RouteOptions } from 'fastify'
import latchkey from '../app.js'
import { FORMATS } from '../lib/identity/json-formats.js'

// The schemas are checked here and not by each process that starts, which would pay for it with a twentieth of its
// time.

const ajv = new Ajv({ strict: false, formats: FORMATS })
ajv.addKeyword({ keyword: 'callable', schemaType: 'array' })

const folder = new URL('../schemas/', import.meta.url)

function isSchema (value: unknown): value is object {
  return typeof value === 'object' && value !== null && ('type' in value || 'anyOf' in value) &&
    !('properties' in value && value.properties === undefined)
}

t.test('every schema that is exported is one', async t => {
  const found: string[] = []
  for (const file of (await readdir(folder)).filter(name => name.endsWith('.js'))) {
    for (const [name, value] of Object.entries(await import(new URL(file, folder).href) as object)) {
      if (!isSchema(value)) continue
      found.push(name)
      t.doesNotThrow(() => ajv.compile(value), `${name} of ${file}`)
    }
  }
  for (const name of [
    'Options', 'ServiceOptions', 'VerifierOptions', 'UserRecord', 'TokenRequest', 'Problem'
  ]) t.ok(found.includes(name), `${name} is among them`)
})

t.test('every schema of a route is one', async t => {
  const app = fastify()
  t.teardown(() => app.close())
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => { routes.push(route) })
  await app.register(
    latchkey, { database: ':memory:', registration: true, metrics: true, statusList: true, rateLimit: true }
  )
  await app.ready()
  t.ok(routes.length > 30)
  for (const { method, url, schema = {} } of routes) {
    const { body, querystring, params, headers, response = {} } = schema
    for (const [part, value] of Object.entries({ body, querystring, params, headers, ...response as object })) {
      if (value !== undefined) t.doesNotThrow(() => ajv.compile(value as object), `${String(method)} ${url} ${part}`)
    }
  }
})

t.test('and the check finds what it is there for', async t => {
  t.throws(() => ajv.compile({ type: 'strng' }))
  t.throws(() => ajv.compile({ type: 'string', minLength: -1 }))
})
