import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startProgram } from './contender-process.js'
import type { Command, RunningContender } from './contender-process.js'

export { checkContender } from './contender-check.js'
export type { Verdicts } from './contender-check.js'
export { startProgram } from './contender-process.js'
export type { Announcement, Login, RunningContender } from './contender-process.js'

// The contenders of the benchmark, and how to start them.

/** The root of the project. The peers are not compiled, so they run from their sources. */
const ROOT = join(import.meta.dirname, '..', '..')
const PEERS = join(ROOT, 'bench', 'peers')

/** Milliseconds until an interpreter must have listed its modules. */
const PROBE_LIMIT = 10_000

/** Whether a contender can run here: the command and its versions, or the reason why not. */
type Availability =
  { command: Command, notes: string, reason?: undefined } | { command: undefined, notes: '', reason: string }

/**
 * A contender: the `name` that starts it, the `title` for a table, and either the `command` with `notes` on its
 * versions, or the `reason`, a sentence, why it cannot run here.
 */
export type Contender = { name: string, title: string } & Availability

interface Entry {
  name: string
  title: string
  find (): Promise<Availability>
}

const ENTRIES: Entry[] = [
  {
    name: 'latchkey',
    title: 'Latchkey',
    find: async () =>
      available(
        ['fastify', '@fastify/jwt', 'better-sqlite3'],
        [process.execPath, join(import.meta.dirname, 'latchkey.js')]
      )
  },
  { name: 'fastify', title: 'Fastify alone, no authentication', find: () => peer(['fastify'], 'fastify.js') },
  {
    name: 'fastify-jwt-hs256',
    title: '@fastify/jwt, HS256',
    find: () => peer(['fastify', '@fastify/jwt', 'bcryptjs'], 'fastify-jwt.js', 'HS256')
  },
  {
    name: 'fastify-jwt-es256',
    title: '@fastify/jwt, ES256',
    find: () => peer(['fastify', '@fastify/jwt', 'bcryptjs'], 'fastify-jwt.js', 'ES256')
  },
  {
    name: 'fastify-jwt-blacklist',
    title: '@fastify/jwt, HS256, blacklist in SQLite',
    find: () => peer(['fastify', '@fastify/jwt', 'bcryptjs', 'better-sqlite3'], 'fastify-jwt-blacklist.js')
  },
  {
    name: 'express-passport',
    title: 'Express, passport-jwt, HS256',
    find: () => peer(['express', 'passport', 'passport-jwt', 'jsonwebtoken'], 'express-passport.js')
  },
  {
    name: 'express-passport-key-object',
    title: 'Express, passport-jwt, HS256, key read once',
    find: () => peer(['express', 'passport', 'passport-jwt', 'jsonwebtoken'], 'express-passport.js', 'key-object')
  },
  { name: 'hono', title: 'Hono, hono/jwt, HS256', find: () => peer(['hono', '@hono/node-server'], 'hono.js') },
  {
    name: 'better-auth',
    title: 'better-auth, session in SQLite',
    find: () => peer(['better-auth', 'fastify', 'better-sqlite3'], 'better-auth.js')
  },
  {
    name: 'better-auth-cookie-cache',
    title: 'better-auth, session in its cookie cache',
    find: () => peer(['better-auth', 'fastify', 'better-sqlite3'], 'better-auth.js', 'cookie-cache')
  },
  {
    name: 'better-auth-api-key',
    title: 'better-auth, API key in SQLite',
    find: () => peer(
      ['better-auth', '@better-auth/api-key', 'fastify', 'better-sqlite3'], 'better-auth-api-key.js'
    )
  },
  { name: 'fastapi', title: 'FastAPI tutorial, python-jose, HS256', find: findFastApi }
]

/** Lists all contenders, Latchkey first. The list includes those that cannot run here. */
export async function listContenders (): Promise<Contender[]> {
  return await Promise.all(ENTRIES.map(async ({ name, title, find }) => ({ name, title, ...await find() })))
}

/**
 * Starts a contender by its name, with additional arguments, and waits until it is ready.
 * @throws if the name is unknown, if the contender cannot run here, or if `startProgram` throws.
 */
export async function startContender (
  name: string,
  args: string[] = [],
  env: NodeJS.ProcessEnv = {}
): Promise<RunningContender> {
  const entry = ENTRIES.find(entry => entry.name === name)
  if (entry === undefined) {
    throw new Error(`Unknown contender '${name}'. Choose from: ${ENTRIES.map(({ name }) => name).join(', ')}.`)
  }
  const { command, reason } = await entry.find()
  if (command === undefined) throw new Error(reason)
  return await startProgram([...command, ...args], env)
}

/**
 * Finds a Python interpreter that has the modules of the FastAPI contender, and their versions. Otherwise returns a
 * sentence that names the required modules. The first `python3` on the PATH may not be the system's, which has Debian's
 * packages.
 */
export async function findPython (
  candidates: string[] = ['python3', '/usr/bin/python3']
): Promise<{ program: string, versions: string } | { reason: string }> {
  for (const program of candidates) {
    const found = await promisify(execFile)(program, ['-c', PYTHON_PROBE], { timeout: PROBE_LIMIT }).catch(
      () => undefined
    )
    if (found !== undefined) return { program, versions: found.stdout.trim() }
  }
  return {
    reason: `None of ${candidates.join(', ')} has fastapi, uvicorn, jose, passlib, bcrypt and multipart. ` +
      'On Debian, run apt-get install python3-{fastapi,uvicorn,jose,passlib,bcrypt,multipart}.'
  }
}

/**
 * Fails if a required module is missing. The last two modules are optional, and uvicorn uses them if they are
 * installed.
 */
const PYTHON_PROBE = `
import importlib, platform
import bcrypt, fastapi, jose, multipart, passlib, uvicorn
def has(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return f'without {name}'
    return f'with {name}'
modules = [f'{module.__name__} {module.__version__}' for module in (fastapi, uvicorn, jose, passlib)]
print(', '.join([f'python {platform.python_version()}', *modules, has('uvloop'), has('httptools')]))
`

async function findFastApi (): Promise<Availability> {
  const python = await findPython()
  if ('reason' in python) return { command: undefined, notes: '', reason: python.reason }
  return { command: [python.program, join(PEERS, 'fastapi-tutorial.py')], notes: python.versions }
}

async function peer (packages: string[], file: string, ...args: string[]): Promise<Availability> {
  return available(packages, [process.execPath, join(PEERS, file), ...args])
}

function available (packages: string[], command: Command): Availability {
  const missing = packages.filter(name => findManifest(name) === undefined)
  if (missing.length > 0) {
    return {
      command: undefined,
      notes: '',
      reason: `${missing.join(', ')} is not installed: run npm install in bench/peers.`
    }
  }
  return { command, notes: packages.map(name => `${name} ${versionOf(name)}`).join(', ') }
}

/** Finds a package the way Node.js resolves it from the folder of the peers. */
function findManifest (name: string): string | undefined {
  return [PEERS, ROOT].map(folder => join(folder, 'node_modules', name, 'package.json')).find(path => existsSync(path))
}

function versionOf (name: string): string {
  const { version } = JSON.parse(readFileSync(findManifest(name) ?? '', 'utf8')) as { version: string }
  return version
}
