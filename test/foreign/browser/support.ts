import { existsSync } from 'node:fs'
import type { RequestListener, Server } from 'node:http'
import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'
import type { Test } from 'tap'

const { LATCHKEY_TEST_CHROMIUM: given, LATCHKEY_TEST_BROWSER: wanted } = process.env
const places = given !== undefined
  ? [given]
  : [
      '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'
    ]
const executablePath = places.find(place => existsSync(place))

/** Why a test that needs a browser does not run here; false where it does. */
export const skip: string | false = executablePath === undefined &&
  `there is no Chromium at ${places.join(', ')}: install one, or name it in LATCHKEY_TEST_CHROMIUM`
if (skip !== false && wanted === 'required') throw new Error(`LATCHKEY_TEST_BROWSER is 'required', and ${skip}`)

/**
 * The one browser of a test file, closed when `t` ends. It takes a second to start: share it, each test in a context of
 * its own.
 */
export async function launch (t: Test): Promise<Browser> {
  const browser = await chromium.launch({ executablePath })
  t.teardown(() => browser.close())
  return browser
}

/** What a page has done. */
export interface Record {
  /** Where it sent requests to, as origins. */
  origins: Set<string>
  /** What it complained of: a policy that was violated, an exception. Not that an answer was no success. */
  complaints: string[]
}

/** Listens to a page from now on. */
export function watch (page: Page): Record {
  const record: Record = { origins: new Set(), complaints: [] }
  page.on('request', request => {
    const { protocol, origin } = new URL(request.url())
    if (protocol !== 'data:') record.origins.add(origin)
  })
  page.on('console', message => {
    if (message.type() === 'error' && !message.text().startsWith(
      'Failed to load resource: the server responded with a status of 4'
    )) record.complaints.push(message.text())
  })
  page.on('pageerror', error => record.complaints.push(error.message))
  return record
}

/**
 * Holds the next requests for a path until so many of them are there, and answers them all then: what happens at once,
 * by design.
 */
export function holdTogether (server: Server, url: string, count: number): void {
  const [answer] = server.listeners('request') as RequestListener[]
  if (answer === undefined) throw new Error('the server answers nothing yet')
  const held: Array<() => void> = []
  function hold (...exchange: Parameters<RequestListener>): void {
    if (exchange[0].url !== url) return answer?.(...exchange)
    held.push(() => answer?.(...exchange))
    if (held.length < count) return
    server.removeListener('request', hold).on('request', answer as RequestListener)
    for (const release of held) release()
  }
  server.removeListener('request', answer).on('request', hold)
}
