import { setImmediate as nextTurn } from 'node:timers/promises'
import { createTokenCache } from '../tokens/cache.js'

/** The cache holds at most twice this many names. */
const CACHE_HALF = 500

/** How many user agents are parsed before other requests get a turn. That takes one to two milliseconds. */
const STEP = 50

/** The user agent of a program that is not a browser: its name, then its version. All browsers begin with `Mozilla`. */
const PROGRAM = /^(?!Mozilla(?:\/|$))([A-Za-z][A-Za-z0-9_.-]{0,39})(?:\/|$)/

const names = createTokenCache<string | null>(CACHE_HALF)

/**
 * Names the device of each session, such as `Safari on iPhone`, `Firefox on Linux` or `curl`, so that users can find a
 * session that is not theirs. Null if the user agent names no device. Do not rely on it, because a client can send any
 * user agent.
 */
export async function nameDevices<Item extends { userAgent: string | null }> (
  items: readonly Item[]
): Promise<Array<Item & { device: string | null }>> {
  // Most processes never list sessions.
  const { default: bowser } = await import('bowser')
  const named: Array<Item & { device: string | null }> = []
  let parsed = 0

  function nameOf (userAgent: string): string | null {
    const known = names.get(userAgent)
    if (known !== undefined) return known
    parsed++
    const name = describe(bowser.parse(userAgent)) ?? PROGRAM.exec(userAgent)?.[1] ?? null
    names.set(userAgent, name)
    return name
  }

  for (const item of items) {
    named.push({ ...item, device: item.userAgent === null || item.userAgent === '' ? null : nameOf(item.userAgent) })
    if (parsed < STEP) continue
    parsed = 0
    await nextTurn()
  }
  return named
}

/** Returns undefined if it is not a browser. */
function describe ({ browser, os, platform }: {
  browser: { name?: string }, os: { name?: string }, platform: { model?: string }
}): string | undefined {
  const place = platform.model ?? os.name
  return place === undefined || !browser.name ? undefined : `${browser.name} on ${place}`
}
