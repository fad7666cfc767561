import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { link, open, readFile, unlink } from 'node:fs/promises'

/** Where the embedded default keeps its secret: beside the database. */
export function secretFileOf (database: string): string {
  return database.replace(/\.(db|sqlite|sqlite3)$/, '') + '.secret'
}

/** The secret in `file`, or undefined where there is no such file. */
export async function readSecretFile (file: string): Promise<string | undefined> {
  try {
    const secret = (await readFile(file, 'utf8')).trim()
    if (Buffer.byteLength(secret) < 32) throw new RangeError(`The secret file ${file} holds less than 32 bytes: restore it from a backup, or give the secret by the option secret (LATCHKEY_SECRET)`)
    return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Makes a secret of 256 random bits in `file` (mode 0600) and returns it; where another process was first, returns that one's.
 * Written whole and flushed under another name, then linked: no reader sees half a secret, and none is ever replaced.
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
    // The name too must survive a power cut: the keys that the secret seals are written next.
    const folder = await open(dirname(file), 'r')
    await folder.sync().finally(() => folder.close())
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await unlink(draft)
  }
  const secret = await readSecretFile(file)
  if (secret === undefined) throw new Error(`The secret file ${file} disappeared while it was being made`)
  return secret
}
