import t from 'tap'
import { nameComponents } from '../../../lib/http/openapi-components.js'

t.test('titled schemas become components, nested ones too; examples are left alone', async t => {
  const account = {
    title: 'Account',
    type: 'object',
    properties: { name: { type: 'string', pattern: '^\\p{L}+$' }, title: { type: 'string', pattern: '^a$' } }
  }
  const document = {
    paths: {
      '/a': {
        get: { schema: { title: 'Page', items: account }, example: [{ title: 'Dr' }] }, post: { schema: account }
      }
    },
    components: { schemas: { Known: { type: 'string' } } }
  }
  nameComponents(document)
  t.strictSame(document, {
    paths: {
      '/a': {
        get: { schema: { $ref: '#/components/schemas/Page' }, example: [{ title: 'Dr' }] },
        post: { schema: { $ref: '#/components/schemas/Account' } }
      }
    },
    components: {
      schemas: {
        Known: { type: 'string' },
        Account: {
          type: 'object', properties: { name: { type: 'string' }, title: { type: 'string', pattern: '^a$' } }
        },
        Page: { items: { $ref: '#/components/schemas/Account' } }
      }
    }
  })
})

t.test('an integer is of 32 bits only if its maximum fits, and keeps a format of its own', async t => {
  const schemas = (format: object): object[] => [
    { type: 'integer', ...format }, { type: 'integer', maximum: 2 ** 31, ...format },
    { type: 'array', items: { type: 'integer', maximum: 2 ** 31 - 1, ...format } }
  ]
  const formatsOf = (list: object[]): unknown[] => {
    const document = { paths: { list, example: { type: 'integer' } } }
    nameComponents(document)
    t.strictSame(document.paths.example, { type: 'integer' })
    return (document.paths.list as Array<{ format?: string, items?: { format: string } }>).map(
      ({ format, items }) => items?.format ?? format
    )
  }
  t.strictSame(formatsOf(schemas({})), ['int64', 'int64', 'int32'])
  t.strictSame(formatsOf(schemas({ format: 'uint16' })), ['uint16', 'uint16', 'uint16'])
})

t.test('two schemas of one name stop the document', async t => {
  t.throws(
    () => nameComponents({ paths: { a: { title: 'A', type: 'string' }, b: { title: 'A', type: 'number' } } }),
    /Two different schemas .* have the title A/
  )
})
