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

// Who takes part in the benchmark: how each is started, and whether it answers right.

/** The root of the project: the peers are not compiled, and run where their sources are. */
const ROOT = join(import.meta.dirname, '..', '..')
const PEERS = join(ROOT, 'bench', 'peers')

/** Milliseconds that an interpreter has to show its modules. */
const PROBE_LIMIT = 10_000

/** Whether a contender can be run here, on what, and why not. */
type Availability = { command: Command, notes: string, reason?: undefined } | { command: undefined, notes: '', reason: string }

/**
 * A contender: the `name` to start it by, the `title` for a table, the `command` with `notes` on the versions that it runs on, or the
 * `reason`, a sentence, why there is no command here.
 */
export type Contender = { name: string, title: string } & Availability

interface Entry {
  name: string
  title: string
  find (): Promise<Availability>
}

const ENTRIES: Entry[] = [
  { name: 'latchkey', title: 'Latchkey', find: async () => available(['fastify', '@fastify/jwt', 'better-sqlite3'], [process.execPath, join(import.meta.dirname, 'latchkey.js')]) },
  { name: 'fastify', title: 'Fastify alone, no authentication', find: () => peer(['fastify'], 'fastify.js') },
  { name: 'fastify-jwt-hs256', title: '@fastify/jwt, HS256', find: () => peer(['fastify', '@fastify/jwt', 'bcryptjs'], 'fastify-jwt.js', 'HS256') },
  { name: 'fastify-jwt-es256', title: '@fastify/jwt, ES256', find: () => peer(['fastify', '@fastify/jwt', 'bcryptjs'], 'fastify-jwt.js', 'ES256') },
  { name: 'fastify-jwt-blacklist', title: '@fastify/jwt, HS256, blacklist in SQLite', find: () => peer(['fastify', '@fastify/jwt', 'bcryptjs', 'better-sqlite3'], 'fastify-jwt-blacklist.js') },
  { name: 'express-passport', title: 'Express, passport-jwt, HS256', find: () => peer(['express', 'passport', 'passport-jwt', 'jsonwebtoken'], 'express-passport.js') },
  { name: 'express-passport-key-object', title: 'Express, passport-jwt, HS256, key read once', find: () => peer(['express', 'passport', 'passport-jwt', 'jsonwebtoken'], 'express-passport.js', 'key-object') },
  { name: 'hono', title: 'Hono, hono/jwt, HS256', find: () => peer(['hono', '@hono/node-server'], 'hono.js') },
  { name: 'better-auth', title: 'better-auth, session in SQLite', find: () => peer(['better-auth', 'fastify', 'better-sqlite3'], 'better-auth.js') },
  { name: 'better-auth-cookie-cache', title: 'better-auth, session in its cookie cache', find: () => peer(['better-auth', 'fastify', 'better-sqlite3'], 'better-auth.js', 'cookie-cache') },
  { name: 'fastapi', title: 'FastAPI tutorial, python-jose, HS256', find: findFastApi }
]

/** All contenders, Latchkey first, also those that cannot be run here. */
export async function listContenders (): Promise<Contender[]> {
  return await Promise.all(ENTRIES.map(async ({ name, title, find }) => ({ name, title, ...await find() })))
}

/**
 * Starts a contender by its name, with further arguments, and waits until it is ready.
 *
 * @throws where there is none of that name, where it cannot be run here, and as `startProgram` does
 */
export async function startContender (name: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): Promise<RunningContender> {
  const entry = ENTRIES.find(entry => entry.name === name)
  if (entry === undefined) throw new Error(`Unknown contender '${name}'. Choose from: ${ENTRIES.map(({ name }) => name).join(', ')}.`)
  const { command, reason } = await entry.find()
  if (command === undefined) throw new Error(reason)
  return await startProgram([...command, ...args], env)
}

/**
 * The interpreter with the modules of the FastAPI contender, and their versions; or a sentence that says which are missing. The first
 * `python3` on the PATH need not be that of the system, for which Debian's packages are.
 */
export async function findPython (candidates: string[] = ['python3', '/usr/bin/python3']): Promise<{ program: string, versions: string } | { reason: string }> {
  for (const program of candidates) {
    const found = await promisify(execFile)(program, ['-c', PYTHON_PROBE], { timeout: PROBE_LIMIT }).catch(() => undefined)
    if (found !== undefined) return { program, versions: found.stdout.trim() }
  }
  return { reason: `No Python of ${candidates.join(', ')} has fastapi, uvicorn, jose, passlib, bcrypt and multipart: on Debian, apt-get install python3-{fastapi,uvicorn,jose,passlib,bcrypt,multipart}.` }
}

/** Fails where a module is missing that is needed; uvicorn uses the last two where they can be loaded. */
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
  if (missing.length > 0) return { command: undefined, notes: '', reason: `${missing.join(', ')} is not installed: run npm install in bench/peers.` }
  return { command, notes: packages.map(name => `${name} ${versionOf(name)}`).join(', ') }
}

/** As Node.js resolves it from the folder of the peers. */
function findManifest (name: string): string | undefined {
  return [PEERS, ROOT].map(folder => join(folder, 'node_modules', name, 'package.json')).find(path => existsSync(path))
}

function versionOf (name: string): string {
  const { version } = JSON.parse(readFileSync(findManifest(name) ?? '', 'utf8')) as { version: string }
  return version
}
