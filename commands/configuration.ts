import type { OptionSchema } from '../lib/options/check.js'
import type { Settings } from '../lib/options/options.js'
import type { LatchkeyOptions, ServiceOptions } from '../schemas/options.js'
import { readEnvironment } from './environment.js'
import { CommandError } from './failure.js'
import { readOptionsFile } from './options-file.js'
import type { OptionsFile } from './options-file.js'
import { printable } from './terminal.js'

/** The content of the environment and the options file. */
export interface Configuration {
  /** With the defaults of the service. Not checked yet. */
  options: LatchkeyOptions
  service: ServiceOptions
  /** The options in the options file, to reject those that a command cannot use. */
  file: OptionsFile | undefined
  /** Whether the environment or the options file names the issuer. */
  hasIssuer: boolean
  /** Checks the options, with some of them replaced. An error names the file that contains the wrong value. */
  check (replaced?: LatchkeyOptions): Settings
}

/** Reads the environment and the options file. A variable takes precedence over the same option in the file. */
export async function readConfiguration (): Promise<Configuration> {
  const { options: fromEnvironment, service } = await readEnvironment()
  const file = await readOptionsFile(service.config)
  const [{ readOptions }, { SERVICE_DEFAULTS, ServiceOptions }] = await Promise.all([
    import('../lib/options/options.js'),
    import('../schemas/options.js')
  ])
  if (file !== undefined) rejectServiceOptions(file, ServiceOptions as OptionSchema)
  const given = merge(file?.options ?? {}, fromEnvironment)
  const { port } = service
  // The default issuer names the port that the service listens on. With port 0, the system picks the port only later.
  const issuer = port === undefined || port === 0 ? {} : { issuer: `http://127.0.0.1:${port}` }
  const options = merge({ ...SERVICE_DEFAULTS, ...issuer }, given)
  return {
    options,
    service,
    file,
    hasIssuer: given.issuer !== undefined,
    check (replaced = {}) {
      try {
        return readOptions({ ...options, ...replaced })
      } catch (cause) {
        throw file === undefined ? cause : locate(cause, file, fromEnvironment)
      }
    }
  }
}

/** Returns the options of `base`, replaced by those of `over`. Each member of `cookies` is an option of its own. */
function merge (base: LatchkeyOptions, over: LatchkeyOptions): LatchkeyOptions {
  const present = Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined))
  const merged: LatchkeyOptions = { ...base, ...present }
  return isObject(base.cookies) && isObject(over.cookies)
    ? { ...merged, cookies: { ...base.cookies, ...over.cookies } }
    : merged
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Adds the path of the file to an error, if the error is about a value that comes from the file. */
function locate (error: unknown, { path, options }: OptionsFile, fromEnvironment: LatchkeyOptions): unknown {
  const { message } = error as Error
  const name = /\boptions? ([A-Za-z.]+)/.exec(message)?.[1]
  if (name === undefined || !find(options, name) || find(fromEnvironment, name)) return error
  const located = message.replace(/^Latchkey: /, () => `In ${printable(path)}, `)
  return new CommandError('invalid_option', located, { cause: error })
}

/** Whether an object has the member that a path such as `cookies.secure` names. */
function find (given: object, path: string): boolean {
  let value: unknown = given
  for (const name of path.split('.')) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return false
    value = (value as Record<string, unknown>)[name]
  }
  return true
}

/** An address, a port or a log level belongs to one run of the service, and the plugin does not accept them. */
function rejectServiceOptions ({ path, options }: OptionsFile, { properties = {} }: OptionSchema): void {
  const name = Object.keys(options).find(name => Object.hasOwn(properties, name))
  if (name === undefined) return
  throw new CommandError(
    'invalid_option',
    `In ${printable(path)}, the option ${name} has no effect: set the variable ${properties[name]?.env} instead`
  )
}
