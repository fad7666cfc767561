import { inspect } from 'node:util'
import { Ajv } from 'ajv'
import type { ErrorObject } from 'ajv'
import type { TSchema } from 'typebox'

/** What the schemas of the options contain in addition to JSON Schema: see `schemas/options.ts`. */
export interface OptionSchema {
  type?: string
  description?: string
  default?: unknown
  env?: string
  expects?: string
  list?: boolean
  properties?: Record<string, OptionSchema>
  anyOf?: OptionSchema[]
}

/** Returns the members of an option that have their own variables. The option is an object, or may be one. */
export function membersOf ({ properties, anyOf = [] }: OptionSchema): Record<string, OptionSchema> {
  const all = Object.assign({}, properties, ...anyOf.map(form => form.properties)) as Record<string, OptionSchema>
  return Object.fromEntries(Object.entries(all).filter(([, member]) => member.env !== undefined))
}

// A process checks its options only once or twice, so optimizing the code would take longer than it saves. The schemas
// are our own, and test/schemas.test.ts validates them.
const ajv = new Ajv({ useDefaults: true, strict: false, meta: false, validateSchema: false, code: { optimize: false } })
ajv.addKeyword({
  keyword: 'callable',
  validate: (members: string[], value: unknown) => members.length === 0
    ? typeof value === 'function'
    : members.every(member => typeof (value as Record<string, unknown>)[member] === 'function'),
  errors: false
})

/**
 * Creates a function that checks a set of options. It returns a copy with the defaults filled in.
 * @throws TypeError in one sentence that names the option, its environment variable and the legal values.
 */
export function createOptionCheck<T> (options: TSchema): (given: unknown) => T {
  const schema = options as OptionSchema
  const validate = ajv.compile<T>(options)
  const groups = Object.entries(schema.properties ?? {})
    .filter(([, property]) => property.properties !== undefined)
    .map(([name]) => name)
  return function checkOptions (given) {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      throw new TypeError('Latchkey: the options must be an object')
    }
    const options: Record<string, unknown> = { ...given }
    for (const [name, value] of Object.entries(options)) if (value === undefined) delete options[name]
    for (const name of groups) options[name] = Object.hasOwn(options, name) ? copyOf(options[name]) : {}
    const checked: unknown = options
    if (!validate(checked)) throw refusal(schema, validate.errors ?? [], options)
    return checked
  }
}

function refusal (schema: OptionSchema, errors: ErrorObject[], options: unknown): TypeError {
  const error = errors[0]
  const path = (error?.instancePath ?? '').split('/').slice(1)
  if (error?.keyword === 'required' && path.length === 0) {
    const missing = String(error.params.missingProperty)
    return new TypeError(
      `Latchkey: the option ${missing} is missing: it must be ${schema.properties?.[missing]?.expects}`
    )
  }
  if (error?.keyword === 'additionalProperties' && path.length < 2 && path[0] !== 'scopes') {
    const owner = path.length === 0 ? schema : schema.properties?.[path[0] ?? '']
    const unknown = [...path, error.params.additionalProperty].join('.')
    return new TypeError(
      `Latchkey: there is no option ${unknown}; the options are ${Object.keys(owner?.properties ?? {}).join(', ')}`
    )
  }
  let option: OptionSchema | undefined = schema
  let value: unknown = options
  const known: string[] = []
  for (const name of path) {
    const next: OptionSchema | undefined = option?.properties?.[name]
    if (next === undefined) break
    option = next
    value = (value as Record<string, unknown>)[name]
    known.push(name)
  }
  const name = known.join('.')
  const variable = option?.env === undefined ? '' : ` (${option.env})`
  // This message may end up anywhere, so it must not show a secret. The URL of a database contains one too.
  const isSecret =
    name === 'secret' || name === 'clientSecret' || (name === 'database' && String(value).includes('://'))
  const shown = !isSecret
    ? `is ${show(value)}`
    : name === 'database'
      ? `is a URL of ${show(String(value).split('://', 1)[0])}`
      : 'is invalid'
  return new TypeError(`Latchkey: the option ${name}${variable} ${shown}: it must be ${option?.expects}`)
}

/** Returns a value as text for an error message. */
export function show (value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : inspect(value, { depth: 1, breakLength: Infinity })
  return text.slice(0, 100)
}

function copyOf (value: unknown): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : value
}
