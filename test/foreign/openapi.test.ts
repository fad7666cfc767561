import { readFile } from 'node:fs/promises'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import spectralCore from '@stoplight/spectral-core'
import type { RulesetDefinition } from '@stoplight/spectral-core'
import spectralRulesets from '@stoplight/spectral-rulesets'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { FORMATS } from '../../lib/identity/json-formats.js'
import { documentUrl, makeDocument, makeTypes, typesUrl } from '../../scripts/document.js'

// The committed document, which the clients are generated from. `npm run openapi` makes it anew.

interface Media { schema: object, example?: unknown, examples?: Record<string, { value: unknown }> }
interface Operation {
  operationId: string
  summary: string
  description: string
  tags: string[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { description: string, content?: Record<string, Media> }>
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object> }
}

const text = await readFile(documentUrl, 'utf8')
const document = JSON.parse(text) as Document
const operations = Object.values(document.paths).flatMap(path => Object.values(path))

t.test('openapi.json is current', async t => {
  t.equal(text, await makeDocument(), 'run: npm run openapi')
})

t.test('the types of the client are those of openapi.json', async t => {
  t.equal(await readFile(typesUrl, 'utf8'), makeTypes(text), 'run: npm run openapi')
})

t.test('every operation has a name, words, and an example of each body and each answer that agrees with its schema', async t => {
  const ajv = new Ajv2020({ strict: false, formats: { ...FORMATS, int32: true, int64: true } })
  ajv.addSchema({ ...document, $id: 'openapi.json' })
  const localRef = (schema: object): object => JSON.parse(JSON.stringify(schema).replaceAll(
    '"#/', '"openapi.json#/'
  )) as object

  const checkMedia = (name: string, content: Record<string, Media>): void => {
    for (const { schema, example, examples } of Object.values(content)) {
      const values = example === undefined ? Object.values(examples ?? {}).map(({ value }) => value) : [example]
      t.ok(values.length > 0, `${name} has an example`)
      for (const value of values) t.ok(ajv.validate(localRef(schema), value), `${name}: ${ajv.errorsText()}`)
    }
  }
  for (const { operationId, summary, description, tags, requestBody, responses } of operations) {
    t.match(operationId, /^[a-z][A-Za-z]+$/)
    for (const words of [summary, description, tags[0]]) t.ok(words, `${operationId} has words and a tag`)
    if (requestBody !== undefined) checkMedia(operationId, requestBody.content)
    for (const [status, response] of Object.entries(responses)) {
      t.not(response.description, 'Default Response', `${operationId} ${status}`)
      t.equal(
        response.content === undefined, ['204', '304'].includes(status), `${operationId} ${status} says what it sends`
      )
      checkMedia(`${operationId} ${status}`, response.content ?? {})
    }
  }
})

t.test('schemas are named, once, and errors have the media type that they are sent with', async t => {
  const names = Object.keys(document.components.schemas)
  for (const name of [
    'Account', 'Problem', 'OAuthError', 'TokenRequest', 'TokenResponse', 'User', 'UserPage', 'Session', 'Client'
  ]) t.ok(names.includes(name), name)
  t.notMatch(text, /def-\d|"title": "(Account|Problem)"/)
  t.strictSame(
    operations.find((
      { operationId }
    ) => operationId === 'logIn')?.responses['401']?.content?.['application/problem+json']?.schema,
    { $ref: '#/components/schemas/Problem' }
  )
  t.strictSame(
    operations.find((
      { operationId }
    ) => operationId === 'createToken')?.responses['400']?.content?.['application/json']?.schema,
    { $ref: '#/components/schemas/OAuthError' }
  )
})

t.test("Redocly's recommended rules find nothing", async t => {
  const config = await createConfig({ extends: ['recommended'] })
  t.strictSame(
    (await lintFromString({ source: text, config })).map((
      { ruleId, message, location }
    ) => `${ruleId}: ${message} ${location[0]?.pointer}`),
    []
  )
})

t.test("Spectral's rules for OpenAPI find nothing", async t => {
  const spectral = new spectralCore.Spectral()
  // The two packages do not agree on the type of a ruleset.
  spectral.setRuleset({ extends: [[spectralRulesets.oas as unknown as RulesetDefinition, 'recommended']] })
  t.strictSame((await spectral.run(text)).map(({ code, message, path }) => `${code}: ${message} ${path.join('/')}`), [])
})
