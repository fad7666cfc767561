/** A schema of a document. What is asked of it is only whether it is named. */
type Schema = Record<string, unknown>

/**
 * Moves each schema that has a `title` to `components.schemas`, under that name, and refers to it: generators name their types
 * by it. Patterns that only ECMAScript understands are left out. In place; a schema is given with its titled parts, and two of one name must be the same.
 * @param document - an OpenAPI 3.1 document whose schemas are written out wherever they are used.
 */
export function nameComponents (document: { paths?: object, components?: { schemas?: object } }): void {
  const named: Record<string, Schema> = {}

  /** What stands in the place of a value of the document. */
  function replace (value: unknown): unknown {
    if (Array.isArray(value)) return value.map(replace)
    if (typeof value !== 'object' || value === null) return value
    // What the examples hold are values, not schemas: an object may have a member `title`.
    const whole = Object.fromEntries(Object.entries(value).filter(isPortable).map(([key, part]) => [key, key === 'example' || key === 'examples' ? part : replace(part)]))
    return isNamed(whole) ? refer(whole) : whole
  }

  function refer ({ title, examples, ...schema }: Schema & { title: string }): Schema {
    const known = named[title]
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(schema)) throw new Error(`Two schemas of the OpenAPI document are called ${title}`)
    named[title] = schema
    return { $ref: `#/components/schemas/${title}` }
  }

  document.paths = replace(document.paths) as object
  document.components = { ...document.components, schemas: { ...document.components?.schemas, ...sortByName(named) } }
}

/** Unicode classes need the flag `u`, which few validators set, and other languages do not know them at all. */
function isPortable ([key, value]: [string, unknown]): boolean {
  return key !== 'pattern' || typeof value !== 'string' || !value.includes('\\p{')
}

function isNamed (value: Schema): value is Schema & { title: string } {
  return typeof value.title === 'string'
}

function sortByName (schemas: Record<string, Schema>): Record<string, Schema> {
  return Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => a < b ? -1 : 1))
}
