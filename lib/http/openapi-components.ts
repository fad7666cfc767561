/** A schema of a document. */
type Schema = Record<string, unknown>

/**
 * Moves each schema with a `title` to `components.schemas` and replaces it by a reference, because generators name
 * their types after these components. Gives integers a format, and omits patterns that only ECMAScript understands.
 * Changes the document in place. Throws if two different schemas have the same title.
 * @param document - an OpenAPI 3.1 document whose schemas are written out wherever they are used.
 */
export function nameComponents (document: { paths?: object, components?: { schemas?: object } }): void {
  const named: Record<string, Schema> = {}

  /** Returns the replacement of a value of the document. */
  function replace (value: unknown): unknown {
    if (Array.isArray(value)) return value.map(replace)
    if (typeof value !== 'object' || value === null) return value
    // Examples contain values, not schemas, and an object among them may have a member `title`.
    const whole = Object.fromEntries(
      Object.entries(value)
        .filter(isPortable)
        .map(([key, part]) => [key, key === 'example' || key === 'examples' ? part : replace(part)])
    )
    if (whole.type === 'integer') whole.format ??= formatOf(whole)
    return isNamed(whole) ? refer(whole) : whole
  }

  function refer ({ title, examples, ...schema }: Schema & { title: string }): Schema {
    const known = named[title]
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(schema)) {
      throw new Error(`Two different schemas of the OpenAPI document have the title ${title}: rename one`)
    }
    named[title] = schema
    return { $ref: `#/components/schemas/${title}` }
  }

  document.paths = replace(document.paths) as object
  document.components = { ...document.components, schemas: { ...document.components?.schemas, ...sortByName(named) } }
}

/** Without a format, generators for typed languages choose 32 bits. These are too few for seconds since the epoch. */
function formatOf ({ maximum }: Schema): string {
  return typeof maximum === 'number' && maximum < 2 ** 31 ? 'int32' : 'int64'
}

/** Unicode classes need the flag `u`, which few validators set. Other languages do not have these classes at all. */
function isPortable ([key, value]: [string, unknown]): boolean {
  return key !== 'pattern' || typeof value !== 'string' || !value.includes('\\p{')
}

function isNamed (value: Schema): value is Schema & { title: string } {
  return typeof value.title === 'string'
}

function sortByName (schemas: Record<string, Schema>): Record<string, Schema> {
  return Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => a < b ? -1 : 1))
}
