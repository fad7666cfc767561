import type { Stats } from 'node:fs'
import { userInfo } from 'node:os'

/** The permissions of a file, as chmod takes them. */
export function modeOf ({ mode }: Stats): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

/** The name of this user, or the number if the system has no name for it, as in many containers. */
export function userName (): string {
  try {
    return userInfo().username
  } catch {
    return String(process.geteuid?.())
  }
}

/** Quotes a path for a shell. */
export function quote (path: string): string {
  return /^[\w./@%+:,][\w./@%+:,-]*$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
