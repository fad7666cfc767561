import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import type { Stats } from 'node:fs'
import { link, open, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { findPublicForm } from '../identity/key-forms.js'
import { modeOf, quote, userName } from './file-access.js'

/** Returns the path of the secret that the embedded default makes, beside the database. */
export function secretFileOf (database: string): string {
  return database.replace(/\.(db|sqlite|sqlite3)$/, '') + '.secret'
}

/** The most bytes that a secret file may have. Even a list of long secrets has fewer. */
const MOST_BYTES = 64 * 1024

/** Makes the error for a secret file that is refused. It names the reason and the remedy. */
function refuse (file: string, reason: string, cause?: unknown): Error {
  const message = `The secret file ${file} ${reason}, or set the option secret (LATCHKEY_SECRET) instead`
  return new Error(message, { cause })
}

/**
 * Reads the secret in `file`. Returns undefined if there is no such file. Throws an Error that names the remedy if
 * others could have read or replaced it. OpenSSH treats its keys the same way. The checks use the open file, so that it
 * cannot be replaced between check and read.
 */
export async function readSecretFile (file: string): Promise<string | undefined> {
  const handle = await openSecretFile(file)
  if (handle === undefined) return undefined
  try {
    assertOurs(file, await handle.stat())
    await assertFolder(file)
    return checkSecret(file, (await handle.readFile('utf8')).trim())
  } finally {
    await handle.close()
  }
}

async function openSecretFile (file: string): Promise<FileHandle | undefined> {
  try {
    // Without O_NONBLOCK, opening a pipe would wait for its other end.
    return await open(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const path = quote(file)
    switch (code) {
      case 'ENOENT': return undefined
      // FreeBSD reports EMLINK instead.
      case 'ELOOP':
      case 'EMLINK': throw refuse(file, 'is a symbolic link: replace it with the file that it points to ' +
        `(\`install -m 600 "$(readlink -f ${path})" ${path}\`)`, cause)
      case 'EACCES':
      case 'EPERM': throw refuse(file, 'cannot be read by this user: run ' +
        `\`chown ${userName()} ${path} && chmod 600 ${path}\` as root`, cause)
      default: throw refuse(file, `cannot be opened (${message}): give a path in a folder that exists`, cause)
    }
  }
}

function assertOurs (file: string, stats: Stats): void {
  const path = quote(file)
  if (!stats.isFile()) throw refuse(file, 'is not a regular file: restore it from a backup')
  if (stats.size > MOST_BYTES) throw refuse(file, `has more than ${MOST_BYTES} bytes: restore it from a backup`)
  const user = process.geteuid?.()
  // Windows has no such owners or modes.
  if (user === undefined) return
  if (stats.uid !== user) {
    throw refuse(file, `belongs to another user (${stats.uid}), who could replace the secret: ` +
      `run \`chown ${userName()} ${path}\` as root`)
  }
  if ((stats.mode & 0o077) !== 0) {
    throw refuse(file, `can be read or changed by other users (mode ${modeOf(stats)}): run \`chmod 600 ${path}\``)
  }
}

/**
 * Refuses a folder that everyone can write to, because anyone could replace the secret or the database in it. A sticky
 * folder, such as /tmp, prevents that.
 */
async function assertFolder (file: string): Promise<void> {
  const folder = dirname(file)
  const stats = await stat(folder)
  if (process.geteuid === undefined || (stats.mode & 0o002) === 0 || (stats.mode & 0o1000) !== 0) return
  throw refuse(file, `can be replaced by any user, because its folder has mode ${modeOf(stats)}: ` +
    `run \`chmod o-w ${quote(folder)}\``)
}

function checkSecret (file: string, secret: string): string {
  if (Buffer.byteLength(secret) < 32) throw refuse(file, 'holds less than 32 bytes: restore it from a backup')
  const form = findPublicForm(secret)
  if (form !== undefined) throw refuse(file, `holds ${form}, which others know: restore it from a backup`)
  return secret
}

/**
 * Makes a secret of 256 random bits in `file` (mode 0600) and returns it. If another process was first, returns the
 * secret of that process. The secret is written and flushed under another name and then linked, so no reader sees half
 * a secret, and no secret is ever replaced.
 */
export async function createSecretFile (file: string): Promise<string> {
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(randomBytes(32).toString('base64url') + '\n')
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    await link(draft, file)
    // The name must also survive a power cut, because the keys that the secret seals are written next.
    const folder = await open(dirname(file), 'r')
    await folder.sync().finally(() => folder.close())
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await unlink(draft)
  }
  const secret = await readSecretFile(file)
  if (secret === undefined) throw new Error(`The secret file ${file} disappeared while it was being made: start again`)
  return secret
}
