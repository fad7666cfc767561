import { Options, ServiceOptions } from '../../schemas/options.js'
import type { LatchkeyOptions, ServiceSettings } from '../../schemas/options.js'
import type { Algorithm } from '../../schemas/algorithms.js'
import type { EventHook } from '../../schemas/events.js'
import type { ClaimsHook, UserDirectory } from '../../schemas/host.js'
import type { UserIdKind } from '../identity/user-ids.js'
import { isRange } from '../identity/network.js'
import type { RoleDefinitions } from '../identity/roles.js'
import { findPublicForm } from '../identity/key-forms.js'
import { createOptionCheck, membersOf, show } from './check.js'
import type { OptionSchema } from './check.js'
import { readCookies } from './cookies.js'
import type { CookieSettings } from './cookies.js'
import { readDecorators } from './decorators.js'
import type { DecoratorNames } from './decorators.js'
import { toMilliseconds } from './durations.js'
import { readOrigins } from './origins.js'
import { readOwnRoutes } from './own-routes.js'
import type { OwnRoute } from './own-routes.js'
import { readRegistration } from './registration.js'
import { readRoles, rolesFromText } from './roles.js'
import { BUILT_IN_SCOPES } from '../identity/scopes.js'
import { engineOf } from '../store/engines.js'

/** The options after the check: defaults filled in, durations in milliseconds. */
export interface Settings extends CookieSettings {
  issuer: string
  audience: readonly string[]
  database: string
  revocationBound: number
  databaseTimeout: number
  acceptLostCommits: boolean
  /** Undefined: the secret is in a file beside the database. */
  secrets: readonly string[] | undefined
  algorithm: Algorithm
  /** The built-in scopes and the app's own. */
  catalogue: Readonly<Record<string, string>>
  roles: RoleDefinitions
  accessTokenTtl: number
  refreshIdleTtl: number
  sessionTtl: number
  maxSessions: number
  refreshGrace: number
  /** Undefined: never. */
  keyRotation: number | undefined
  bcryptCost: number
  passwordMinLength: number
  registration: boolean
  /** The scopes of each new account. */
  registrationScopes: readonly string[]
  passwordGrant: boolean
  /** What the app does in its own routes. */
  ownRoutes: ReadonlySet<OwnRoute>
  rateLimit: boolean
  /** The scheme of the `Authorization` header, besides `Bearer`. */
  scheme: string
  /** What guarded routes accept by default. */
  accepts: ReadonlyArray<'token' | 'key'>
  trustedOrigins: ReadonlySet<string>
  corsOrigins: ReadonlySet<string>
  securityHeaders: boolean
  shedLoad: boolean
  metrics: boolean
  statusList: boolean
  /** How our own routes report errors. */
  errors: 'problem' | 'app'
  prefix: string
  docs: boolean
  forwardAuth: boolean
  users: UserDirectory | undefined
  userIds: UserIdKind
  claims: ClaimsHook | undefined
  onEvent: EventHook | undefined
  /** Undefined: the app gets no decorators. */
  decorators: DecoratorNames | undefined
  auditRetention: number
  /** Undefined: the clock of the database. */
  now: (() => number) | undefined
}

/** In milliseconds. A key must be published some minutes before it signs, and until its last token has expired. */
const SHORTEST_ROTATION = 60 * 60 * 1000

/** In milliseconds. The database is queried several times within the bound. */
const SHORTEST_BOUND = 100

/** In milliseconds. A longer bound would be useless, and a timer cannot exceed 24 days. */
const LONGEST_BOUND = 60 * 60 * 1000

/** In milliseconds. A shorter wait would refuse requests that a busy database could still serve. */
const SHORTEST_TIMEOUT = 100

/** In milliseconds. Clients and proxies give up earlier. */
const LONGEST_TIMEOUT = 60_000

const checkOptions = createOptionCheck<Required<LatchkeyOptions>>(Options)
const checkServiceOptions = createOptionCheck<ServiceSettings>(ServiceOptions)

/**
 * Checks the plugin's options and fills in the defaults.
 * @throws TypeError in one sentence that names the option, its environment variable and the legal values.
 */
export function readOptions (given: unknown): Settings {
  const options = checkOptions(given)
  if (!URL.canParse(options.issuer)) {
    const { env, expects } = Options.properties.issuer as OptionSchema
    throw new TypeError(`Latchkey: the option issuer (${env}) is ${show(options.issuer)}: it must be ${expects}`)
  }
  const secrets = typeof options.secret === 'string' ? [options.secret] : options.secret
  for (const secret of secrets ?? []) {
    const bytes = Buffer.byteLength(secret)
    if (bytes < 32) {
      throw new TypeError(
        `Latchkey: the option secret (LATCHKEY_SECRET) has ${bytes} bytes: it must be at least 32 bytes of text, ` +
          'or a list of such texts. Generate one with `openssl rand -base64 32`'
      )
    }
    const form = findPublicForm(secret)
    if (form !== undefined) {
      throw new TypeError(
        `Latchkey: the option secret (LATCHKEY_SECRET) holds ${form}, which others know: it must be random. ` +
          'Generate one with `openssl rand -base64 32`'
      )
    }
  }
  const catalogue = { ...BUILT_IN_SCOPES, ...options.scopes }
  const settings: Settings = {
    issuer: options.issuer,
    audience: options.audience === undefined ? [options.issuer] : [options.audience].flat(),
    database: options.database,
    revocationBound: toMilliseconds(options.revocationBound),
    databaseTimeout: toMilliseconds(options.databaseTimeout),
    acceptLostCommits: options.acceptLostCommits,
    secrets,
    algorithm: options.algorithm,
    catalogue,
    roles: readRoles(options.roles, catalogue),
    accessTokenTtl: toMilliseconds(options.accessTokenTtl),
    refreshIdleTtl: toMilliseconds(options.refreshIdleTtl),
    sessionTtl: toMilliseconds(options.sessionTtl),
    maxSessions: options.maxSessions,
    refreshGrace: toMilliseconds(options.refreshGrace),
    keyRotation: options.keyRotation === 'never' ? undefined : toMilliseconds(options.keyRotation),
    bcryptCost: options.bcryptCost,
    passwordMinLength: options.passwordMinLength,
    ...readRegistration(options.registration, catalogue),
    ...readOwnRoutes(options, (given as LatchkeyOptions).passwordGrant !== undefined),
    rateLimit: options.rateLimit,
    scheme: options.scheme,
    accepts: options.accepts,
    ...readCookies(options.cookies),
    // In the form that browsers send: in lower case, without the default port.
    trustedOrigins: readOrigins('trustedOrigins', options.trustedOrigins),
    corsOrigins: readOrigins('corsOrigins', options.corsOrigins),
    securityHeaders: options.securityHeaders,
    shedLoad: options.shedLoad,
    metrics: options.metrics,
    statusList: options.statusList,
    errors: options.errors,
    prefix: options.prefix,
    docs: options.docs,
    forwardAuth: options.forwardAuth,
    users: options.users,
    userIds: options.userIds,
    claims: options.claims,
    onEvent: options.onEvent,
    decorators: readDecorators(options.decorators),
    auditRetention: toMilliseconds(options.auditRetention),
    now: options.now
  }
  if (settings.accessTokenTtl < 1_000) {
    throw new TypeError(
      'Latchkey: the option accessTokenTtl (LATCHKEY_ACCESS_TOKEN_TTL) must be at least 1s, because tokens carry ' +
        'times in whole seconds'
    )
  }
  assertUserIds(settings)
  assertLength('revocationBound', options, [SHORTEST_BOUND, LONGEST_BOUND])
  assertLength('databaseTimeout', options, [SHORTEST_TIMEOUT, LONGEST_TIMEOUT])
  const { name, isShared } = engineOf(settings.database)
  if (secrets === undefined && isShared) {
    throw new TypeError(
      `Latchkey: with ${name}, the option secret (LATCHKEY_SECRET) is required and must be the same on every ` +
        'node: at least 32 bytes of text, or a list of such texts. Generate one with `openssl rand -base64 32`'
    )
  }
  if (settings.keyRotation !== undefined && settings.keyRotation < SHORTEST_ROTATION) {
    throw new TypeError(
      `Latchkey: the option keyRotation (LATCHKEY_KEY_ROTATION) is "${options.keyRotation}": ` +
        "it must be a duration such as 12h or 90d, at least 1h, or 'never'"
    )
  }
  if (settings.statusList && settings.algorithm === 'HS256') {
    throw new TypeError(
      'Latchkey: the option statusList (LATCHKEY_STATUS_LIST) must be false if the option algorithm ' +
        '(LATCHKEY_ALGORITHM) is HS256, because only Latchkey could verify the lists'
    )
  }
  return settings
}

/** Throws if the duration is not between the two. */
function assertLength (
  name: 'revocationBound' | 'databaseTimeout', options: Required<LatchkeyOptions>, [least, most]: [number, number]
): void {
  const milliseconds = toMilliseconds(options[name])
  if (milliseconds >= least && milliseconds <= most) return
  const { env, expects } = Options.properties[name] as OptionSchema
  throw new TypeError(`Latchkey: the option ${name} (${env}) is ${show(options[name])}: it must be ${expects}`)
}

function assertUserIds ({ users, userIds }: Pick<Settings, 'users' | 'userIds'>): void {
  if (userIds === 'integer' && users === undefined) {
    throw new TypeError(
      "Latchkey: the option userIds is 'integer', but the ids of the built-in accounts are text: set the option " +
        'users too, or leave out userIds'
    )
  }
}

/** Checks the options that only the service takes. Throws as `readOptions` does. */
export function readServiceOptions (given: ServiceOptions): ServiceSettings {
  const options = checkServiceOptions(given)
  if (options.trustProxy.every(isRange)) return options
  const { env, expects } = ServiceOptions.properties.trustProxy as OptionSchema
  throw new TypeError(`Latchkey: ${env} must be ${expects}.`)
}

/**
 * Returns the options that the environment sets, for the plugin and for the service around it. `unread` names variables
 * that begin with `LATCHKEY_` but set no option, because a misspelt one must not be ignored silently. Throws a
 * TypeError for a value of the wrong type.
 */
export function optionsFromEnvironment (env: NodeJS.ProcessEnv): {
  options: LatchkeyOptions
  service: ServiceOptions
  unread: string[]
} {
  return {
    options: fromEnvironment(Options as OptionSchema, env) as LatchkeyOptions,
    service: fromEnvironment(ServiceOptions as OptionSchema, env) as ServiceOptions,
    unread: Object.keys(env).filter(name => name.startsWith('LATCHKEY_') && !ENVIRONMENT_NAMES.has(name))
  }
}

const ENVIRONMENT_NAMES = new Set([
  ...environmentNames(Options as OptionSchema),
  ...environmentNames(ServiceOptions as OptionSchema)
])

function environmentNames (schema: OptionSchema): string[] {
  return Object.values(schema.properties ?? {}).flatMap(property => [
    ...property.env === undefined ? [] : [property.env],
    ...Object.values(membersOf(property)).flatMap(({ env = [] }) => env)
  ])
}

function fromEnvironment (schema: OptionSchema, env: NodeJS.ProcessEnv): Record<string, unknown> {
  const options: Record<string, unknown> = {}
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (property.properties !== undefined) {
      options[name] = fromEnvironment(property, env)
    } else if (property.env !== undefined) {
      const text = env[property.env]
      if (text !== undefined && text !== '') options[name] = fromText(property, text, property.env)
      options[name] = withMembers(property, options[name], env)
      if (options[name] === undefined) delete options[name]
    }
  }
  return options
}

/** Replaces `true` with an object from the variables of the members. Throws if only those variables are set. */
function withMembers (property: OptionSchema, value: unknown, env: NodeJS.ProcessEnv): unknown {
  const members = fromEnvironment({ properties: membersOf(property) }, env)
  const [name] = Object.keys(members)
  if (name === undefined || value === false) return value
  if (value === true) return members
  throw new TypeError(
    `Latchkey: ${membersOf(property)[name]?.env} is set without ${property.env}: set ${property.env} to true or false`
  )
}

function fromText (schema: OptionSchema, text: string, env: string): unknown {
  if (schema.list === true) {
    const items = text.split(',').map(item => item.trim()).filter(item => item !== '')
    if (env === 'LATCHKEY_ROLES') return rolesFromText(items)
    return schema.type === 'object' ? Object.fromEntries(items.map(item => [item, item])) : items
  }
  const isBoolean = [schema, ...schema.anyOf ?? []].some(({ type }) => type === 'boolean')
  if (isBoolean && (text === 'true' || text === 'false')) return text === 'true'
  if (schema.type === 'integer' && /^\d{1,9}$/.test(text)) return Number(text)
  if (isBoolean || schema.type === 'integer') {
    throw new TypeError(`Latchkey: ${env} is '${text}': it must be ${isBoolean ? 'true or false' : schema.expects}`)
  }
  return text
}
