import { readFile } from 'node:fs/promises'
import { Option } from 'commander'
import type { Command } from 'commander'
import type { Latchkey } from '../lib/latchkey.js'
import { ALGORITHMS } from '../schemas/algorithms.js'
import type { Algorithm } from '../schemas/algorithms.js'
import type { KeyView } from '../lib/keys/keyring.js'
import { COMMAND } from '../lib/ledger/events.js'
import { withLatchkey } from './context.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { describeNext, toData } from './key.js'
import { example, print } from './output.js'
import type { OutputOptions } from './output.js'
import { readAll } from './standard-input.js'
import { collect, requireScopes } from './user.js'

interface ImportOptions extends OutputOptions {
  now?: boolean
  verifyOnly?: boolean
  kid?: string
  algorithm?: Algorithm
  base64url?: boolean
  issuer?: string
  audience?: string
  scope?: string[]
  until?: string
  subjectClaim?: string
  numericSubject?: boolean
  maxAge?: string
  allowShortSecret?: boolean
  update?: boolean
}

/** Options that only apply to the key of an older system. */
const VERIFY_ONLY = [
  'base64url', 'issuer', 'audience', 'scope', 'until', 'subjectClaim', 'numericSubject', 'maxAge', 'allowShortSecret',
  'update'
] as const

/** `latchkey keys import`. */
export function addKeysImport (keys: Command): void {
  keys.command('import')
    .description('Import a private key of your own to sign with, as PEM or DER (PKCS #8, PKCS #1, ' +
      'SEC 1) or as a JWK. With --verify-only, import a key or the HS256 secret of an older system. ' +
      'Latchkey then accepts the tokens of that system until they expire.')
    .argument('<file>', "the file that holds the key; '-' is standard input. Never pass a secret as an argument, " +
      'because other users of this machine can read it')
    .option('--now', 'let it sign at once, without waiting until verifiers have read it')
    .option('--verify-only', 'accept the tokens of an older system; the key is not published and never signs')
    .option('--kid <kid>', 'the kid in the header of tokens; default: that of the JWK, otherwise a new one')
    .addOption(new Option(
      '--algorithm <algorithm>',
      'the algorithm of the key; required for an HS256 secret, and for RSA with PS256'
    )
      .choices(ALGORITHMS))
    .option('--base64url', 'decode the HS256 secret from base64url or base64; default: use the text of the file')
    .option('--issuer <issuer>', 'with --verify-only: the required iss of its tokens')
    .option(
      '--audience <audience>',
      'with --verify-only: the required aud of its tokens; ' +
        'default: tokens without aud, or with one from the option audience'
    )
    .option(
      '--scope <scope>',
      'with --verify-only: a scope that its tokens may carry; repeatable; default: the scopes of the app',
      collect
    )
    .option('--until <duration>', 'with --verify-only: how long its tokens are accepted, for example 30d; default: 90d')
    .option(
      '--subject-claim <claim>', 'with --verify-only: the claim that holds the id of the user; default: sub'
    )
    .option('--numeric-subject', 'with --verify-only: accept an integer as the id of the user; it becomes text')
    .option(
      '--max-age <duration>',
      'with --verify-only: accept tokens without exp until this long after their iat, for example 30d; ' +
        'default: refuse them'
    )
    .option(
      '--allow-short-secret',
      'with --verify-only: accept an HS256 secret of fewer than 32 bytes; ' +
        'anyone who guesses it can make tokens for any user until the key expires'
    )
    .option('--update', 'with --verify-only: if the key was imported before, change the given settings only')
    .option('--json', 'print the key as JSON')
    .addHelpText('after', example(
      'latchkey keys import signing.pem',
      'latchkey keys import --verify-only --issuer old-app public.pem',
      'printenv SECRET_KEY | latchkey keys import --verify-only --algorithm HS256 --until 30d -'
    ))
    .action(importKey)
}

async function importKey (file: string, options: ImportOptions): Promise<void> {
  assertPlaced(options)
  const [until, maxAge] = [await readTime('until', options.until), await readTime('max-age', options.maxAge)]
  await withLatchkey(async latchkey => {
    requireScopes(latchkey, options.scope ?? [])
    const content = await readKeyFile(file)
    const key = await take(latchkey, content, { ...options, until, maxAge })
    print(options, {
      data: toData(key),
      text: `Imported the ${key.algorithm} key ${key.kid}, which ${describeNext(key)}.`
    })
  }, { mayCreate: true })
}

function assertPlaced (options: ImportOptions): void {
  const misplaced =
    options.verifyOnly === true
      ? options.now === true
        ? 'now'
        : undefined
      : VERIFY_ONLY.find(name => options[name] !== undefined)
  if (misplaced === undefined) return
  const flag = misplaced.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
  throw new CommandError(
    'usage',
    `--${flag} ${misplaced === 'now' ? 'cannot be used' : 'can only be used'} with --verify-only; see --help`,
    { exitCode: EXIT_CODES.usage }
  )
}

async function readTime (flag: string, text: string | undefined): Promise<number | undefined> {
  if (text === undefined) return undefined
  const { readDuration } = await import('../lib/options/durations.js')
  const time = readDuration(text)
  if (time !== undefined) return time
  throw new CommandError('usage', `--${flag} must be a duration such as 12h or 90d`, { exitCode: EXIT_CODES.usage })
}

async function readKeyFile (file: string): Promise<Buffer> {
  if (file === '-') return await readAll()
  try {
    return await readFile(file)
  } catch (cause) {
    throw new CommandError(
      'invalid_key',
      `The file ${file} cannot be read (${(cause as Error).message}): use the path of the key, or - for standard input`,
      { cause }
    )
  }
}

async function take (
  { keys }: Latchkey,
  content: Buffer,
  options: Omit<ImportOptions, 'until' | 'maxAge'> & { until: number | undefined, maxAge: number | undefined }
): Promise<KeyView> {
  const { kid, algorithm, verifyOnly, now, scope, json: _json, ...rules } = options
  return verifyOnly === true
    ? await keys.importVerifyOnlyKey(content, { ...rules, kid, algorithm, scopes: scope, by: COMMAND })
    : await keys.importSigningKey(content, { kid, algorithm, immediately: now, by: COMMAND })
}
