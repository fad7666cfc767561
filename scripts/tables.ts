import { Command } from 'commander'
import type { Argument } from 'commander'
import { fastify } from 'fastify'
import type { TSchema } from 'typebox'
import latchkey from '../app.js'
import { addAdministration } from '../commands/administration.js'
import { MEANINGS } from '../commands/exit-codes.js'
import { addServe } from '../commands/serve.js'
import { describeError, ERROR_CODES } from '../schemas/errors.js'
import { membersOf } from '../lib/options/check.js'
import type { OptionSchema } from '../lib/options/check.js'
import { BUILT_IN_SCOPES } from '../lib/identity/scopes.js'
import { describeEvent, EVENT_TYPES } from '../schemas/events.js'
import { Options, SERVICE_DEFAULTS, ServiceOptions } from '../schemas/options.js'
import { VerifierOptions } from '../schemas/verifier-options.js'

/** The pages of `docs/reference` with generated tables, and the names of their tables. */
const PAGES: Record<string, string[]> = {
  'options.md': ['options'],
  'verifier-options.md': ['verifier'],
  'environment.md': ['environment'],
  'routes.md': ['routes'],
  'scopes.md': ['scopes'],
  'errors.md': ['errors'],
  'events.md': ['events'],
  'metrics.md': ['metrics'],
  'command-line.md': ['verbs', 'verb-options', 'exit-codes']
}

/** Returns the pages with current tables, by path. A table stands between `<!-- name -->` and `<!-- /name -->`. */
export async function renderPages (read: (path: string) => Promise<string>): Promise<Record<string, string>> {
  const tables: Record<string, string> = {
    options: optionsTable(Options),
    verifier: optionsTable(VerifierOptions),
    environment: environmentTable(),
    ...(await servedTables()),
    errors: errorsTable(),
    events: eventsTable(),
    scopes: table(
      ['scope', 'allows its holder to'],
      Object.entries(BUILT_IN_SCOPES).map(([scope, description]) => [code(scope), description])
    ),
    ...commandTables()
  }
  const pages = Object.entries(PAGES).map(async ([name, parts]) => {
    const path = `docs/reference/${name}`
    return [
      path,
      parts.reduce(
        (text, part) => replaceTable(text, { path, name: part, content: tables[part] ?? '' }),
        await read(path)
      )
    ] as const
  })
  return Object.fromEntries(await Promise.all(pages))
}

function replaceTable (text: string, { path, name, content }: { path: string, name: string, content: string }): string {
  const marked = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`)
  if (!marked.test(text)) {
    throw new Error(`${path} has no place for the table '${name}': add <!-- ${name} --> and <!-- /${name} -->`)
  }
  return text.replace(marked, (_whole, start: string, end: string) => `${start}${content}${end}`)
}

function optionsTable (options: TSchema): string {
  return table(['option', 'meaning', 'legal values', 'default'], leaves(options as OptionSchema)
    .map(([name, schema]) => [code(name), schema.description ?? '', schema.expects ?? '', defaultOf(schema)]))
}

function environmentTable (): string {
  return table(
    ['variable', 'option', 'legal values', 'default'],
    [...leaves(Options as OptionSchema), ...leaves(ServiceOptions as OptionSchema)]
      .filter(([, schema]) => schema.env !== undefined)
      .map(([name, schema]) => [
        code(schema.env ?? ''),
        code(name),
        schema.list === true ? `${schema.expects}; separate several with commas` : (schema.expects ?? ''),
        defaultOf({ ...schema, ...serviceDefault(name) })
      ])
  )
}

function serviceDefault (name: string): { default?: unknown } {
  return Object.hasOwn(SERVICE_DEFAULTS, name)
    ? { default: SERVICE_DEFAULTS[name as keyof typeof SERVICE_DEFAULTS] }
    : {}
}

/** Returns every option. The name of an option inside an object is its path. */
function leaves (schema: OptionSchema, prefix = ''): Array<[string, OptionSchema]> {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]): Array<[string, OptionSchema]> =>
    property.properties === undefined
      ? [[prefix + name, property], ...leaves({ properties: membersOf(property) }, `${prefix}${name}.`)]
      : leaves(property, `${prefix}${name}.`))
}

function defaultOf ({ default: value }: OptionSchema): string {
  return value === undefined ? '' : code(typeof value === 'string' ? value || "''" : JSON.stringify(value))
}

/** Returns the tables that describe what a running instance serves. */
async function servedTables (): Promise<{ routes: string, metrics: string }> {
  const app = fastify()
  await app.register(latchkey, {
    database: ':memory:',
    bcryptCost: 4,
    docs: true,
    registration: true,
    metrics: true,
    statusList: true,
    forwardAuth: true
  })
  const document = await app.inject('/openapi.json')
  const { users, sessions, tokens } = app.latchkey
  const scraper = await users.add({
    username: 'scraper',
    password: 'marble otter sings at noon',
    scopes: ['metrics:read']
  })
  const token = await tokens.sign(await sessions.start(scraper))
  const exposition = await app.inject({ url: '/metrics', headers: { authorization: `Bearer ${token}` } })
  await app.close()
  return { routes: routesTable(document.json()), metrics: metricsTable(exposition.body) }
}
interface Document {
  paths: Record<string, Record<string, { summary?: string, security?: Array<Record<string, string[]>> }>>
}

function routesTable ({ paths }: Document): string {
  const rows = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { summary, security }]) => [
      code(`${method.toUpperCase()} ${path}`),
      whoOf(security),
      summary ?? ''
    ])
  )
  return table(
    ['route', 'who may call it', 'what it does'],
    rows.sort(([a], [b]) => String(a?.split(' ')[1]).localeCompare(String(b?.split(' ')[1])))
  )
}

/**
 * Reads the text format of Prometheus. The metrics of Node.js itself share one row, because their names explain them.
 */
function metricsTable (exposition: string): string {
  const ours = [...exposition.matchAll(/^# HELP (latchkey_\w+) (.+)\n# TYPE \1 (\w+)$/gm)]
    .map(([, name = '', help = '', type = '']) => [code(name + labelsOf(exposition, name)), type, help])
  return table(
    ['metric', 'type', 'meaning'],
    [...ours, ['`process_*`, `nodejs_*`', '', 'CPU, memory, event loop, garbage collection']]
  )
}

/** Returns the names of a metric's labels, except the bounds of a histogram. */
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
  return table(['`code`', 'status', 'on OAuth endpoints and in challenges', 'meaning'], ERROR_CODES.map(name => {
    const { status, oauth, message } = describeError(name)
    return [code(name), String(status), oauth === undefined ? '' : code(oauth), message]
  }))
}

function eventsTable (): string {
  return table(['event', 'outcome', 'meaning'], EVENT_TYPES.filter(type => describeEvent(type).kept).map(type => {
    const { outcome, meaning } = describeEvent(type)
    return [code(type), outcome, meaning]
  }))
}

/** Returns the tables of the commands, their options and the exit codes. */
function commandTables (): Record<string, string> {
  const program = new Command('latchkey')
  addServe(program)
  addAdministration(program)
  const verbs = verbsOf(program)
  return {
    verbs: table(
      ['command', 'what it does'],
      verbs.map(({ path, command }) => [
        code([path, ...command.registeredArguments.map(argumentOf)].join(' ')),
        command.description()
      ])
    ),
    'verb-options': table(
      ['command', 'option', 'meaning'],
      verbs.flatMap(({ path, command }) =>
        command.options.map(({ flags, description }) => [code(path), code(flags), description])
      )
    ),
    'exit-codes': table(
      ['exit code', 'meaning'],
      Object.entries(MEANINGS).map(([exitCode, meaning]) => [code(exitCode), meaning])
    )
  }
}

interface Verb { path: string, command: Command }

function verbsOf (command: Command, before = ''): Verb[] {
  const path = `${before}${command.name()}`
  return command.commands.length === 0
    ? [{ path, command }]
    : command.commands.flatMap(verb => verbsOf(verb, `${path} `))
}

function argumentOf (argument: Argument): string {
  const name = argument.variadic ? `${argument.name()}...` : argument.name()
  return argument.required ? `<${name}>` : `[${name}]`
}

function code (text: string): string {
  return `\`${text}\``
}

function table (head: string[], rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('')
}
