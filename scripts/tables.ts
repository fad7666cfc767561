import { fastify } from 'fastify'
import type { TSchema } from 'typebox'
import latchkey from '../app.js'
import { describeError, ERROR_CODES } from '../schemas/errors.js'
import type { OptionSchema } from '../lib/option-check.js'
import { BUILT_IN_SCOPES } from '../lib/scopes.js'
import { describeEvent, EVENT_TYPES } from '../schemas/events.js'
import { Options, SERVICE_DEFAULTS, ServiceOptions } from '../schemas/options.js'
import { VerifierOptions } from '../schemas/verifier-options.js'

/** The README with every generated table made anew: what stands between `<!-- name -->` and `<!-- /name -->`. */
export async function renderTables (readme: string): Promise<string> {
  const tables: Record<string, string> = {
    options: optionsTable(Options),
    verifier: optionsTable(VerifierOptions),
    environment: environmentTable(),
    ...await servedTables(),
    errors: errorsTable(),
    events: eventsTable(),
    scopes: table(['scope', 'lets its holder'], Object.entries(BUILT_IN_SCOPES).map(([scope, description]) => [code(scope), description]))
  }
  let result = readme
  for (const [name, text] of Object.entries(tables)) {
    const marked = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`)
    if (!marked.test(result)) throw new Error(`The README has no place for the table '${name}'`)
    result = result.replace(marked, (_whole, start: string, end: string) => `${start}${text}${end}`)
  }
  return result
}

function optionsTable (options: TSchema): string {
  return table(['option', 'what it says', 'legal values', 'default'], leaves(options as OptionSchema)
    .map(([name, schema]) => [code(name), schema.description ?? '', schema.expects ?? '', defaultOf(schema)]))
}

function environmentTable (): string {
  return table(['variable', 'option', 'legal values', 'default'], [...leaves(Options as OptionSchema), ...leaves(ServiceOptions as OptionSchema)]
    .filter(([, schema]) => schema.env !== undefined)
    .map(([name, schema]) => [code(schema.env ?? ''), code(name), schema.list === true ? `${schema.expects}; several are separated by commas` : schema.expects ?? '', defaultOf({ ...schema, ...serviceDefault(name) })]))
}

function serviceDefault (name: string): { default?: unknown } {
  return Object.hasOwn(SERVICE_DEFAULTS, name) ? { default: SERVICE_DEFAULTS[name as keyof typeof SERVICE_DEFAULTS] } : {}
}

/** The options themselves, those inside an object by their path. */
function leaves (schema: OptionSchema, prefix = ''): Array<[string, OptionSchema]> {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]): Array<[string, OptionSchema]> =>
    property.properties === undefined ? [[prefix + name, property]] : leaves(property, `${prefix}${name}.`))
}

function defaultOf ({ default: value }: OptionSchema): string {
  return value === undefined ? '' : code(typeof value === 'string' ? value || "''" : JSON.stringify(value))
}

/** The tables of what a running instance says of itself. */
async function servedTables (): Promise<{ routes: string, metrics: string }> {
  const app = fastify()
  await app.register(latchkey, { database: ':memory:', bcryptCost: 4, docs: true, registration: true, metrics: true, statusList: true })
  const document = await app.inject('/openapi.json')
  const { users, sessions, tokens } = app.latchkey
  const scraper = await users.add({ username: 'scraper', password: 'marble otter sings at noon', scopes: ['metrics:read'] })
  const token = await tokens.sign(await sessions.start(scraper))
  const exposition = await app.inject({ url: '/metrics', headers: { authorization: `Bearer ${token}` } })
  await app.close()
  return { routes: routesTable(document.json()), metrics: metricsTable(exposition.body) }
}
interface Document {
  paths: Record<string, Record<string, { summary?: string, security?: Array<Record<string, string[]>> }>>
}

function routesTable ({ paths }: Document): string {
  const rows = Object.entries(paths).flatMap(([path, operations]) => Object.entries(operations)
    .map(([method, { summary, security }]) => [code(`${method.toUpperCase()} ${path}`), whoOf(security), summary ?? '']))
  return table(['route', 'who', 'what it does'], rows.sort(([a], [b]) => String(a?.split(' ')[1]).localeCompare(String(b?.split(' ')[1]))))
}

/** Of the text format of Prometheus. What Node.js tells of the process is one row: it says of itself what it is. */
function metricsTable (exposition: string): string {
  const ours = [...exposition.matchAll(/^# HELP (latchkey_\w+) (.+)\n# TYPE \1 (\w+)$/gm)]
    .map(([, name = '', help = '', type = '']) => [code(name + labelsOf(exposition, name)), type, help])
  return table(['metric', 'type', 'what it is'], [...ours, ['`process_*`, `nodejs_*`', '', 'CPU, memory, event loop, garbage collection']])
}

/** The names of a metric's labels, but for the bounds of a histogram. */
function labelsOf (exposition: string, name: string): string {
  const [, labels = ''] = new RegExp(`^${name}(?:_count)?\\{(.+)\\} `, 'm').exec(exposition) ?? []
  const names = [...labels.matchAll(/\b(\w+)="/g)].map(([, label]) => label)
  return names.length === 0 ? '' : `{${names.join(',')}}`
}

function whoOf (security: Array<Record<string, string[]>> | undefined): string {
  if (security === undefined || security.some(scheme => Object.keys(scheme).length === 0)) return 'anyone'
  const scopes = security.flatMap(({ oauth2 }) => oauth2 ?? []).map(code)
  const holder = scopes.length === 0 ? 'user' : `scope ${[...new Set(scopes)].join(', ')}`
  return security.some(scheme => 'client' in scheme) ? `client, or ${holder}` : holder
}

function errorsTable (): string {
  return table(['`code`', 'status', 'on OAuth endpoints and in challenges', 'what it says'], ERROR_CODES.map(name => {
    const { status, oauth, message } = describeError(name)
    return [code(name), String(status), oauth === undefined ? '' : code(oauth), message]
  }))
}

function eventsTable (): string {
  return table(['event', 'outcome', 'what it says'], EVENT_TYPES.filter(type => describeEvent(type).kept).map(type => {
    const { outcome, meaning } = describeEvent(type)
    return [code(type), outcome, meaning]
  }))
}

function code (text: string): string {
  return `\`${text}\``
}

function table (head: string[], rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('')
}
