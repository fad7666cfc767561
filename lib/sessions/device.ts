import { setImmediate as nextTurn } from 'node:timers/promises'
import { createTokenCache } from '../tokens/cache.js'

/** The cache holds at most twice this many names. */
const CACHE_HALF = 500

/** How many user agents are parsed before requests go first. That takes one to two milliseconds. */
const STEP = 50

/** What programs send that are no browsers: the name of the program, then its version. */
const PROGRAM = /^([A-Za-z][A-Za-z0-9_.-]{0,39})(?:\/|$)/

const names = createTokenCache<string | null>(CACHE_HALF)

/**
 * Names the devices of a list of sessions in words, for people who look for one that is not theirs, such as
 * `Safari on iPhone`, `Firefox on Linux` or `curl`. Null if the user agent tells nothing. It is only what the client
 * says, and anyone can send anything.
 */
export async function nameDevices<Item extends { userAgent: string | null }> (
  items: readonly Item[]
): Promise<Array<Item & { device: string | null }>> {
  // Few processes ever show a list.
  const { default: bowser } = await import('bowser')
  const named: Array<Item & { device: string | null }> = []
  let parsed = 0

  function nameOf (userAgent: string): string | null {
    const known = names.get(userAgent)
    if (known !== undefined) return known
    parsed++
    const name = describe(bowser.parse(userAgent)) ?? PROGRAM.exec(userAgent)?.[1] ?? null
    names.set(userAgent, name === 'Mozilla' ? null : name)
    return name === 'Mozilla' ? null : name
  }

  for (const item of items) {
    named.push({ ...item, device: item.userAgent === null || item.userAgent === '' ? null : nameOf(item.userAgent) })
    if (parsed < STEP) continue
    parsed = 0
    await nextTurn()
  }
  return named
}

/** Returns undefined if it is no browser. */
function describe ({ browser, os, platform }: {
  browser: { name?: string }, os: { name?: string }, platform: { model?: string }
}): string | undefined {
  const place = platform.model ?? os.name
  return place === undefined || !browser.name ? undefined : `${browser.name} on ${place}`
}
