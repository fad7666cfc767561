import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHmac, createPrivateKey, createPublicKey, sign, timingSafeEqual, verify } from 'node:crypto'
import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { stringify } from 'uuid'
import type { Test } from 'tap'
import { REQUIRED_CLAIMS } from '../../lib/identity/access-token.js'
import { createStoreClock } from '../../lib/time/clock.js'
import type { StoreClock } from '../../lib/time/clock.js'
import { createEvents } from '../../lib/ledger/events.js'
import { createFollower } from '../../lib/store/change-follower.js'
import type { Follower } from '../../lib/store/change-follower.js'
import { createKeys } from '../../lib/keys/administration.js'
import type { Keys } from '../../lib/keys/administration.js'
import { openKeyring } from '../../lib/keys/keyring.js'
import type { JwtKey, JwtKeyMaker, Keyring } from '../../lib/keys/keyring.js'
import type { SigningKey, VerifyOnlyKey } from '../../lib/keys/material.js'
import { findSizeProblem } from '../../lib/passwords/policy.js'
import type { PasswordRules } from '../../lib/passwords/policy.js'
import type { Passwords } from '../../lib/passwords/pool.js'
import { createLedger } from '../../lib/ledger/ledger.js'
import type { Ledger } from '../../lib/ledger/ledger.js'
import { openRevocations } from '../../lib/revocation/revocations.js'
import type { Revocations } from '../../lib/revocation/revocations.js'
import { BUILT_IN_SCOPES } from '../../lib/identity/scopes.js'
import { createSeenGenerations } from '../../lib/sessions/seen-generations.js'
import type { SeenGenerations } from '../../lib/sessions/seen-generations.js'
import { createSessions } from '../../lib/sessions/sessions.js'
import type { Sessions } from '../../lib/sessions/sessions.js'
import type { StatusReferences } from '../../lib/status-lists/references.js'
import { openStore as openAnyStore } from '../../lib/store/open.js'
import type { RoleDefinitions } from '../../lib/identity/roles.js'
import type { Store } from '../../lib/store/store.js'
import { deriveKeys } from '../../lib/keys/secrets.js'
import { createTokenSignals } from '../../lib/tokens/signals.js'
import type { TokenSignals } from '../../lib/tokens/signals.js'
import type { SignalOf } from '../../lib/tokens/verified-token.js'
import { createTokens } from '../../lib/tokens/tokens.js'
import type { Tokens } from '../../lib/tokens/tokens.js'
import { createThrottle } from '../../lib/throttle/throttle.js'
import type { Throttle } from '../../lib/throttle/throttle.js'
import { createUsers } from '../../lib/users/users.js'
import type { Users } from '../../lib/users/users.js'
import type { SecurityEvent } from '../../schemas/events.js'
import type { Algorithm } from '../../schemas/algorithms.js'
import type { ClaimsHook, User, UserDirectory } from '../../schemas/host.js'
import { ON_POSTGRES } from '../helper.js'
import { createDatabase } from '../postgres/databases.js'

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** The wall clock of a test: stands still until it is moved. */
export interface Wall {
  (): number
  move (milliseconds: number): void
}

export function createWall (time = Date.UTC(2026, 10, 3, 12, 0, 0, 250)): Wall {
  return Object.assign(() => time, { move (milliseconds: number) { time += milliseconds } })
}

/** A file in a folder that goes with the test, or the URL of a new database. */
export function databaseIn (t: Test): string {
  return ON_POSTGRES ? createDatabase() : join(t.testdir(), 'test.db')
}

/** A store that closes with the test. */
export async function openStore (
  t: Test, database = ON_POSTGRES ? createDatabase() : ':memory:', now?: () => number
): Promise<Store> {
  const store = await openAnyStore(database, { bound: SECOND, log: () => {}, now })
  t.teardown(() => store.close())
  return store
}

/**
 * The store and the connection inside it, caught while it is being opened: what is set on a connection is seen on no
 * other.
 */
export async function openCaptured (
  t: Test, file: string, now?: () => number
): Promise<{ store: Store, connection: Database.Database }> {
  const original = Database.prototype.pragma
  let connection: Database.Database | undefined
  Database.prototype.pragma = function pragma (this: Database.Database, ...parameters) {
    connection = this
    return original.apply(this, parameters)
  }
  try {
    const store = await openStore(t, file, now)
    if (connection === undefined) throw new Error('no connection was made')
    return { store, connection }
  } finally {
    Database.prototype.pragma = original
  }
}

/** A second connection to the same file, as another process would have it. */
export function connectTo (t: Test, file: string): Database.Database {
  const other = new Database(file, { timeout: 0 })
  t.teardown(() => other.close())
  return other
}

/** `performance.now()` of a test: stands still until it is moved, in milliseconds. */
export function createStopwatch (t: Test): { move (milliseconds: number): void } {
  let time = performance.now()
  Object.defineProperty(performance, 'now', { configurable: true, writable: true, value: () => time })
  t.teardown(() => { Reflect.deleteProperty(performance, 'now') })
  return { move (milliseconds) { time += milliseconds } }
}

/** Passwords without the cost. `gate` is awaited by each hash and each verification. */
function createFakePasswords (): Passwords & { calls: string[], gate: () => Promise<void> } {
  const calls: string[] = []
  const fake = {
    calls,
    gate: async () => {},
    async hash (password: string) {
      calls.push('hash')
      await fake.gate()
      return `hash of ${password}`
    },
    async verify (password: string, hash: string | undefined) {
      calls.push(hash === undefined ? 'verify nothing' : 'verify')
      await fake.gate()
      const valid = hash === `hash of ${password}` || hash === `old hash of ${password}`
      return { valid, needsRehash: valid && hash.startsWith('old') }
    },
    async check (password: string, { minLength, username = '' }: PasswordRules) {
      // The real check loads dictionaries. This one only proves that the rules arrive.
      return findSizeProblem(
        password, minLength
      ) ?? (password.includes(username) ? 'It contains the username.' : undefined)
    },
    queueSize: 0,
    close: async () => {}
  }
  return fake
}

/** Something that can be let through later. */
export function createGate (): { pass: () => Promise<void>, open: () => void } {
  let open = (): void => {}
  const opened = new Promise<void>(resolve => { open = resolve })
  return { pass: () => opened, open: () => open() }
}

export const REFRESH_KEY = Buffer.alloc(32, 7)
export const THROTTLE_KEY = Buffer.alloc(32, 9)
export const PASSWORD = 'marble otter sings at noon'
export const CATALOGUE = {
  ...BUILT_IN_SCOPES, admin: 'Administer', 'items:read': 'Read items', 'items:write': 'Change items'
}

/** Everything in lib/ over one store, as plugins/ wires it. */
export interface World {
  file: string
  wall: Wall
  clock: StoreClock
  store: Store
  follower: Follower
  ledger: Ledger
  revocations: Revocations
  throttle: Throttle
  passwords: ReturnType<typeof createFakePasswords>
  users: Users
  sessions: Sessions
  seen: SeenGenerations
  /** Each refresh token that was used again. */
  reuses: SecurityEvent[]
  /** Adds a user with all of the catalogue's `admin`, `items:read`. */
  addUser (username?: string, scopes?: string[]): Promise<User & { passwordChangedAt: number }>
}

export interface WorldOptions {
  file?: string
  wall?: Wall
  store?: Store
  directory?: UserDirectory
  accessTokenTtl?: number
  maxSessions?: number
  sessionTtl?: number
  refreshIdleTtl?: number
  refreshGrace?: number
  refreshKeys?: [Buffer, ...Buffer[]]
  throttleKeys?: [Buffer, ...Buffer[]]
  claims?: ClaimsHook
  roles?: RoleDefinitions
  status?: StatusReferences
}

export async function createWorld (t: Test, options: WorldOptions = {}): Promise<World> {
  const {
    file = ON_POSTGRES ? createDatabase() : ':memory:', wall = createWall(), directory, accessTokenTtl = 15 * MINUTE,
    roles = {}
  } = options
  const store = options.store ?? await openStore(t, file, wall)
  const clock = createStoreClock(store.now)
  const events = createEvents()
  const reuses: SecurityEvent[] = []
  events.on(event => { if (event.type === 'refresh_token_reuse') reuses.push(event) })
  const follower = createFollower(store)
  const ledger = createLedger({ store, clock, events })
  const revocations = await openRevocations({ store, ledger, follower, accessTokenTtl })
  const throttle = createThrottle({ store, clock, ledger, keys: options.throttleKeys ?? [THROTTLE_KEY], isOn: true })
  const passwords = createFakePasswords()
  const users = createUsers({
    store, clock, passwords, ledger, revocations, throttle, catalogue: CATALOGUE, roles, passwordMinLength: 15
  })
  const seen = createSeenGenerations(store, () => {})
  const sessions = createSessions({
    store,
    clock,
    ledger,
    follower,
    revocations,
    throttle,
    users: directory ?? users,
    builtInUsers: directory === undefined ? users : undefined,
    claims: options.claims,
    roles,
    userIds: 'text',
    refreshKeys: options.refreshKeys ?? [REFRESH_KEY],
    status: options.status,
    maxSessions: options.maxSessions ?? 100,
    sessionTtl: options.sessionTtl ?? 90 * DAY,
    refreshIdleTtl: options.refreshIdleTtl ?? 30 * DAY,
    refreshGrace: options.refreshGrace ?? 10 * SECOND,
    seen
  })
  return {
    file,
    wall,
    clock,
    store,
    follower,
    ledger,
    revocations,
    throttle,
    passwords,
    users,
    sessions,
    seen,
    reuses,
    addUser: (
      username = 'alice', scopes = ['admin', 'items:read']
    ) => users.add({ username, password: PASSWORD, scopes })
  }
}

/** For tests that read no signal. */
export const noSignal: SignalOf = () => AbortSignal.abort()

export const ISSUER = 'https://auth.example.com'
export const AUDIENCE = 'https://api.example.com'

/**
 * What plugins/tokens.ts makes of a key, with nothing but node:crypto: signature, header, issuer, audience, required
 * claims.
 */
export function createJwtKey (
  key: SigningKey, { issuer = ISSUER, audience = [AUDIENCE] }: { issuer?: string, audience?: readonly string[] } = {}
): JwtKey & { verifications: number } {
  const made = {
    kid: key.kid,
    algorithm: key.algorithm,
    jwk: key.jwk,
    verifications: 0,
    sign: (claims: object) => signJws(key, { alg: key.algorithm, typ: 'at+jwt', kid: key.kid }, claims),
    signStatusList: (claims: object) => signJws(
      key, { alg: key.algorithm, typ: 'statuslist+jwt', kid: key.kid }, claims
    ),
    verify (token: string) {
      made.verifications++
      const [header, payload, signature] = token.split('.') as [string, string, string]
      if (!verifySignature(
        key, `${header}.${payload}`, Buffer.from(signature, 'base64url')
      )) throw new Error('bad signature')
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
      for (const name of REQUIRED_CLAIMS) if (claims?.[name] === undefined) throw new Error(`no ${name}`)
      if (claims.iss !== issuer) throw new Error('bad iss')
      if (![claims.aud].flat().some(aud => audience.includes(aud))) throw new Error('bad aud')
      return claims
    }
  }
  return made
}

/** What plugins/adapters/jwt-key-maker.ts gives the keyring. `made`: which keys were asked for. */
function createMaker (): JwtKeyMaker & { made: string[] } {
  const made: string[] = []
  return {
    made,
    async toJwtKey (key) {
      made.push(key.kid)
      return createJwtKey(key)
    },
    async toVerifyOnlyJwtKey (key) {
      made.push(key.kid)
      return {
        key,
        verify (token) {
          const [header, payload, signature] = token.split('.') as [string, string, string]
          if (!verifySignature(
            toSigner(key), `${header}.${payload}`, Buffer.from(signature, 'base64url')
          )) throw new Error('bad signature')
          return JSON.parse(Buffer.from(payload, 'base64url').toString())
        }
      }
    }
  }
}

function toSigner ({ kid, algorithm, public: key }: VerifyOnlyKey): SigningKey {
  return { kid, algorithm, private: key, public: key, jwk: null }
}

/** A keyring that nothing changes: each key verifies, the last one signs. */
export function createFixedKeyring (keys: readonly JwtKey[]): Keyring {
  return {
    find (kid) {
      const key = keys.find(key => key.kid === kid)
      return key === undefined ? undefined : { key, expiresAt: Infinity }
    },
    trusts: kid => keys.some(key => key.kid === kid),
    holdsVerifyOnly: () => false,
    findVerifyOnly: () => [],
    signer: () => keys.at(-1) as JwtKey,
    jwks: () => keys.map(({ jwk }) => jwk).filter(jwk => jwk !== null),
    list: () => [],
    isRotationDue: () => false,
    candidates: rows => [...rows],
    opensNone: () => false,
    onChange: () => {}
  }
}

/** Creates the signals of a world, as plugins/ wires them. */
export function createSignals (
  { clock, follower, revocations }: Pick<World, 'clock' | 'follower' | 'revocations'>, keyring: Keyring
): TokenSignals {
  const stopwatch = (): number => performance.now()
  const signals = createTokenSignals({
    clock,
    trusts: keyring.trusts,
    revocations,
    knowledge: { refresh: follower.refresh, age: () => stopwatch() - follower.asOf() },
    bound: SECOND,
    stopwatch
  })
  revocations.onRules(signals.noteRules)
  keyring.onChange(signals.noteKeys)
  return signals
}

export const KEY_SECRET = 'a secret of at least thirty-two bytes'

/** The keys of a world, and the tokens that are made with them. */
export interface KeyWorld {
  keyring: Keyring
  keys: Keys
  tokens: Tokens
  signals: TokenSignals
  maker: ReturnType<typeof createMaker>
  warnings: object[]
  /** What the log says of refused tokens of older systems. */
  refusals: object[]
}

export async function openKeys (world: World, {
  algorithm = 'ES256', secrets = [KEY_SECRET], rotation, audience = [AUDIENCE], accessTokenTtl = 15 * MINUTE, isRepair
}: {
  algorithm?: Algorithm
  secrets?: string[]
  rotation?: number
  isRepair?: boolean
  audience?: string[]
  accessTokenTtl?: number
} = {}): Promise<KeyWorld> {
  const { store, clock, revocations, follower } = world
  const [first, ...others] = deriveKeys(secrets)
  const sealKeys: [Buffer, ...Buffer[]] = [first.seal, ...others.map(({ seal }) => seal)]
  const maker = createMaker()
  const warnings: object[] = []
  const keyring = await openKeyring({
    store,
    clock,
    revocations,
    follower,
    algorithm,
    sealKeys,
    maker,
    log: { warn: details => warnings.push(details) },
    isRepair
  })
  const keys = createKeys({
    keyring,
    maker,
    clock,
    revocations,
    follower,
    algorithm,
    rotation,
    sealKeys,
    catalogue: CATALOGUE
  })
  const refusals: object[] = []
  const signals = createSignals(world, keyring)
  const tokens = createTokens({
    keyring,
    signalOf: signals.of,
    issuer: ISSUER,
    audience,
    catalogue: CATALOGUE,
    accessTokenTtl,
    clock,
    follower,
    ledger: { readTime: world.store.poll },
    revocations,
    log: { info: details => { refusals.push(details) } }
  })
  return { keyring, keys, tokens, signals, maker, warnings, refusals }
}

/** Reads the session and the generation in a refresh token, whatever its key is. */
export function partsOf (refreshToken: string): { sessionId: string, generation: number } {
  const bytes = Buffer.from(refreshToken.slice(4), 'base64url')
  return { sessionId: stringify(bytes.subarray(0, 16)), generation: bytes.readUIntBE(16, 6) }
}

/** Signs any header and any payload, which may also be a string that is not JSON. */
export function signJws (key: SigningKey, header: unknown, payload: unknown): string {
  const encode = (part: unknown): string => Buffer.from(
    typeof part === 'string' ? part : JSON.stringify(part)
  ).toString('base64url')
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${signatureOf(key, input).toString('base64url')}`
}

/** Signs claims with a shared secret, as older systems do. */
export function signWithSecret (secret: string, claims: object): string {
  const bytes = Buffer.from(secret)
  return signJws(
    { kid: 'old', algorithm: 'HS256', private: bytes, public: bytes, jwk: null }, { alg: 'HS256', typ: 'JWT' }, claims
  )
}

const PSS = { padding: 6, saltLength: 32 }

function signatureOf (key: SigningKey, input: string): Buffer {
  const data = Buffer.from(input)
  switch (key.algorithm) {
    case 'HS256': return createHmac('sha256', key.private).update(data).digest()
    case 'ES256': return sign('sha256', data, { key: createPrivateKey(key.private), dsaEncoding: 'ieee-p1363' })
    case 'EdDSA': return sign(null, data, createPrivateKey(key.private))
    case 'RS256': return sign('sha256', data, createPrivateKey(key.private))
    case 'PS256': return sign('sha256', data, { key: createPrivateKey(key.private), ...PSS })
  }
}

function verifySignature (key: SigningKey, input: string, signature: Buffer): boolean {
  const data = Buffer.from(input)
  switch (key.algorithm) {
    case 'HS256': {
      const expected = signatureOf(key, input)
      return expected.length === signature.length && timingSafeEqual(expected, signature)
    }
    case 'ES256': return verify(
      'sha256', data, { key: createPublicKey(key.public), dsaEncoding: 'ieee-p1363' }, signature
    )
    case 'EdDSA': return verify(null, data, createPublicKey(key.public), signature)
    case 'RS256': return verify('sha256', data, createPublicKey(key.public), signature)
    case 'PS256': return verify('sha256', data, { key: createPublicKey(key.public), ...PSS }, signature)
  }
}

/** A key that needs no store. */
export function createHmacKey (kid: string = randomUUID()): SigningKey {
  const bytes = Buffer.from(kid.padEnd(32, '.'))
  return { kid, algorithm: 'HS256', private: bytes, public: bytes, jwk: null }
}

/** The URL of a compiled module of lib/, for the script of a child process. */
export function libUrl (path: string): string {
  return JSON.stringify(new URL(`../../lib/${path}`, import.meta.url).href)
}

/** Runs a script in another process. It inherits no coverage: what counts is what it does to the file. */
export function startScript (t: Test, script: string, options: { uid?: number, prefix?: string[] } = {}): {
  child: ChildProcess, result: Promise<{ code: number | null, stdout: string, stderr: string }>
} {
  const [command = '', ...parameters] = [...options.prefix ?? [], process.execPath, '--input-type=module', '-e', script]
  const child = spawn(
    command, parameters,
    { uid: options.uid, cwd: tmpdir(), env: { PATH: process.env.PATH }, stdio: ['pipe', 'pipe', 'pipe'] }
  )
  t.teardown(() => { child.kill('SIGKILL') })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', chunk => { stdout += chunk })
  child.stderr.on('data', chunk => { stderr += chunk })
  return { child, result: new Promise(resolve => child.on('close', code => resolve({ code, stdout, stderr }))) }
}

/** Whether a promise settles without anything else happening. */
export async function isPending (promise: Promise<unknown>): Promise<boolean> {
  let pending = true
  promise.then(() => { pending = false }, () => { pending = false })
  for (let turn = 0; turn < 20; turn++) await nextTurn()
  return pending
}

/** Random numbers that are the same each time (mulberry32). */
export function createRandom (seed: number): {
  next (): number, below (bound: number): number, pick<T> (items: readonly T[]): T
} {
  function next (): number {
    seed = (seed + 0x6d2b79f5) | 0
    let x = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    below: bound => Math.floor(next() * bound),
    pick: items => items[Math.floor(next() * items.length)] as typeof items[number]
  }
}
