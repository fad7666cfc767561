import { lstat, stat } from 'node:fs/promises'
import { modeOf, quote, userName } from '../lib/keys/file-access.js'

/**
 * Returns why a file of the working directory must not choose the code that runs: another user owns it or can write to
 * it. The text ends with the command that mends it. Returns undefined for a file that can be trusted.
 */
export async function findDistrust (file: string): Promise<string | undefined> {
  const user = process.geteuid?.()
  // Windows has no such owners or modes.
  if (user === undefined) return undefined
  const path = quote(file)
  const [link, target] = [await lstat(file), await stat(file)]
  // The owner of a symbolic link chooses the target.
  const stranger = [link.uid, target.uid].find(owner => owner !== 0 && owner !== user)
  if (stranger !== undefined) {
    const chown = link.isSymbolicLink() && link.uid === stranger ? 'chown -h' : 'chown'
    return `belongs to another user (${stranger}), whose code would run as you: if you trust its content, run ` +
      `\`${chown} ${userName()} ${path}\` as root`
  }
  // Many systems give each user a group of their own, and let it write to new files.
  const writers = target.gid === process.getegid?.() ? 0o002 : 0o022
  if ((target.mode & writers) === 0) return undefined
  return `can be changed by other users (mode ${modeOf(target)}), whose code would run as you: ` +
    `run \`chmod go-w ${path}\``
}
