import { spawnSync } from 'node:child_process'
import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { LatchkeyOptions } from '../schemas/options.js'
import { CommandError } from './failure.js'
import { findDistrust } from './file-trust.js'
import { oneLine, printable } from './terminal.js'

/** The names of the options file in the working directory. */
const NAMES = ['js', 'mjs', 'cjs', 'ts', 'mts'].map(extension => `latchkey.config.${extension}`)

/** What the file must contain, for error messages. */
const EXPECTED = "export the plugin's options as the default: export default { scopes: { ... } }"

/** An options file that was read. */
export interface OptionsFile {
  /** The path as the user wrote it. */
  path: string
  options: LatchkeyOptions
}

/**
 * Reads the options file: the given one, or the one in the working directory. Returns undefined if there is none. The
 * options are not checked yet. The file is a program, so reading it runs it. So a file that was only found must belong
 * to this user or to root.
 * @param given - the value of `--config` or LATCHKEY_CONFIG.
 */
export async function readOptionsFile (given: string | undefined): Promise<OptionsFile | undefined> {
  const path = given === undefined || given === '' ? await findFile() : given
  if (path === undefined) return undefined
  const file = resolve(path)
  if (!await exists(file)) {
    throw invalid(`There is no options file ${printable(path)} (--config or LATCHKEY_CONFIG): correct its path`)
  }
  const options = await load(path, file)
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return { path, options }
  const found = options === undefined ? 'has no default export' : `exports ${nameOf(options)} as its default`
  throw invalid(`The options file ${printable(path)} ${found}: ${EXPECTED}`)
}

async function findFile (): Promise<string | undefined> {
  const found: string[] = []
  for (const name of NAMES) if (await exists(resolve(name))) found.push(name)
  const [first] = found
  if (first === undefined) return undefined
  if (found.length === 1) {
    const distrust = await findDistrust(first)
    if (distrust === undefined) return first
    throw invalid(`The options file ${first} in the working directory ${distrust}, or name the file with --config`)
  }
  throw invalid(`The working directory has ${found.join(' and ')}: remove all but one, or choose one with --config`)
}

async function exists (file: string): Promise<boolean> {
  return await access(file).then(() => true, () => false)
}

/** Returns the default export, which may be a promise. */
async function load (path: string, file: string): Promise<unknown> {
  try {
    const { default: exported } = await import(pathToFileURL(file).href) as { default?: unknown }
    const given = await exported
    // A compiler that writes CommonJS puts the default export into a member.
    return isCompiled(given) ? await given.default : given
  } catch (cause) {
    throw invalid(describe(path, file, cause), cause)
  }
}

function isCompiled (given: unknown): given is { default: unknown } {
  return typeof given === 'object' && given !== null && '__esModule' in given && 'default' in given
}

function describe (path: string, file: string, cause: unknown): string {
  const { code, message = String(cause), stack = '' } = cause instanceof Error ? cause as NodeJS.ErrnoException : {}
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION' && /\.m?ts$/.test(path)) {
    return `Node.js ${process.versions.node} cannot load the options file ${printable(path)}, because it is ` +
      'TypeScript: use Node.js 22.18 or later, or write latchkey.config.js'
  }
  const line = lineIn(stack, file) ?? (cause instanceof SyntaxError ? lineIn(check(file), file) : undefined)
  const place = line === undefined ? '' : `, line ${line}`
  return `The options file ${printable(path)} cannot be loaded (${printable(oneLine(message))}${place}): correct it`
}

/** Returns the first line number of the file that a stack names. */
function lineIn (stack: string, file: string): string | undefined {
  for (const name of [pathToFileURL(file).href, file]) {
    const start = stack.indexOf(`${name}:`)
    const line = start === -1 ? undefined : /^\d+/.exec(stack.slice(start + name.length + 1))?.[0]
    if (line !== undefined) return line
  }
  return undefined
}

/** Returns what Node.js prints about a syntax error. The error of `import()` itself does not contain its line. */
function check (file: string): string {
  // The file .env may have set options of Node.js, which could run code.
  const env = { ...process.env, NODE_OPTIONS: '' }
  return spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', env }).stderr
}

function nameOf (value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`
}

function invalid (message: string, cause?: unknown): CommandError {
  return new CommandError('invalid_options_file', message, { cause })
}
