import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import t from 'tap'
import type { Client, ClientOptions } from '../../client/index.js'
import { createTestClock, PASSWORD } from '../helper.js'
import { createIssuer } from '../verifier/support.js'

// The client in runtimes that lack parts of the web platform. A context of node:vm has the language and nothing else.

const MINUTE = 60_000
const CREDENTIALS = { username: 'alice', password: PASSWORD }
const TIMERS = { setTimeout, clearTimeout, performance: { now: () => performance.now() } }

/** The XMLHttpRequest of React Native, as far as whatwg-fetch uses it. It follows redirects, and has no cookies. */
class XMLHttpRequest {
  onload = (): void => {}
  onerror = (): void => {}
  onabort = (): void => {}
  status = 0
  statusText = ''
  responseURL = ''
  responseText = ''
  #method = ''
  #url = ''
  #headers = new Headers()
  #response = new Headers()
  readonly #abort = new AbortController()

  open (method: string, url: string): void { [this.#method, this.#url] = [method, url] }
  setRequestHeader (name: string, value: string): void { this.#headers.set(name, value) }
  getAllResponseHeaders (): string { return [...this.#response].map(pair => pair.join(': ')).join('\r\n') }
  abort (): void { this.#abort.abort() }
  send (body: string | null): void {
    const request = { method: this.#method, headers: this.#headers, body, signal: this.#abort.signal }
    fetch(this.#url, request).then(async response => {
      this.responseText = await response.text()
      this.#response = response.headers
      this.responseURL = response.url
      this.status = response.status
      this.onload()
    }).catch(() => this.#abort.signal.aborted ? this.onabort() : this.onerror())
  }
}

/** The URL of React Native keeps the text that it was given. */
class ReactNativeUrl {
  readonly href: string
  constructor (url: string) { this.href = url }
  get origin (): string { throw new Error('URL.origin is not implemented') }
}

/** An AbortController whose AbortSignal has neither `timeout` nor `any`. */
const ABORTION = { AbortController, AbortSignal: class AbortSignal {} }

const RUNTIMES: Record<string, { globals: (url: string) => object, polyfill: string, url: (url: string) => string }> = {
  // No crypto, no structuredClone, no BroadcastChannel, no streams, no DOMException. `navigator` has no locks.
  'React Native': {
    globals: () => ({
      ...TIMERS,
      ...ABORTION,
      XMLHttpRequest,
      URL: ReactNativeUrl,
      FormData: class FormData {},
      navigator: { product: 'ReactNative' }
    }),
    polyfill: "import 'whatwg-fetch'",
    url: url => url
  },
  // No crypto.randomUUID, no structuredClone, no locks.
  'Safari 15.0': {
    globals: url => ({
      ...TIMERS,
      ...ABORTION,
      fetch,
      Request,
      Response,
      Headers,
      FormData,
      URL,
      URLSearchParams,
      document: {},
      crypto: { getRandomValues: crypto.getRandomValues.bind(crypto) },
      navigator: {},
      location: { href: `${url}/page` }
    }),
    polyfill: '',
    url: () => '/'
  }
}

/** Loads the client into a runtime. */
async function load (polyfill: string, globals: object): Promise<(options: ClientOptions) => Client> {
  const { outputFiles: [file] } = await build({
    stdin: {
      contents: `${polyfill}\nexport { createClient } from '../../client/index.js'`, resolveDir: import.meta.dirname
    },
    bundle: true,
    format: 'iife',
    globalName: 'latchkey',
    write: false
  })
  const context = createContext(globals)
  runInContext(file?.text ?? '', context)
  return runInContext('latchkey.createClient', context)
}

for (const [name, { globals, polyfill, url: urlOf }] of Object.entries(RUNTIMES)) {
  t.test(`${name}: log in, refresh before and after the expiry, log out`, async t => {
    const clock = createTestClock()
    const requests: string[] = []
    const { issuer } = await createIssuer(t, { now: clock }, async app => {
      app.addHook('onResponse', async ({ method, url }, { statusCode }) => {
        requests.push(`${method} ${url} ${statusCode}`)
      })
      app.post('/echo', { onRequest: app.authenticate }, async ({ body }) => body)
    })
    const createClient = await load(polyfill, globals(issuer))
    let ended = 0
    let time: () => number = clock
    const client = createClient({ url: urlOf(issuer), now: () => time(), onSessionEnd () { ended += 1 } })
    await t.rejects(
      client.logIn({ ...CREDENTIALS, password: 'wrong' }), { name: 'ResponseError', status: 400, code: 'invalid_grant' }
    )
    t.strictSame({ ...await client.logIn({ ...CREDENTIALS, scopes: ['items:read'] }) }, { scopes: ['items:read'] })
    t.equal((await client.api.GET('/users/me')).data?.username, 'alice')

    clock.move(14.5 * MINUTE)
    requests.length = 0
    const tokens = await Promise.all(Array.from({ length: 5 }, () => client.accessToken()))
    t.match(tokens[0], /^ey/)
    t.equal(new Set(tokens).size, 1)
    t.strictSame(requests, ['POST /refresh 200'], 'before the expiry')

    // This client does not know the time, so it learns from the 401.
    time = () => 0
    clock.move(16 * MINUTE)
    requests.length = 0
    const headers = { 'content-type': 'application/json' }
    const response = await client.fetch(`${issuer}/echo`, { method: 'POST', headers, body: '{"a":1}' })
    t.strictSame({ ...await response.json() as object }, { a: 1 })
    t.strictSame(requests, ['POST /echo 401', 'POST /refresh 200', 'POST /echo 200'])

    // A Request of the web reads a backslash as a slash, so the rest is a path of the issuer.
    const ambiguous = name === 'React Native' ? [`${issuer}\\@evil.example/`] : []
    for (const url of [
      ...ambiguous, 'https://evil.example/', `${issuer}@evil.example/`, `https://evil.example\\${issuer}`,
      `${issuer}.evil.example/`, `${issuer}0/`, `${issuer}:80/`, issuer.replace('127.0.0.1', '127.0.0.1%00'),
      issuer.replace('http:', 'ftp:'), 'javascript:0', 'data:text/plain,a'
    ]) await t.rejects(client.fetch(url), { name: 'TypeError' }, url)
    t.equal(requests.length, 3, 'no token leaves the origin')

    await client.logOut('others')
    await client.logOut()
    t.equal(await client.accessToken(), undefined)
    t.equal((await client.api.GET('/users/me')).response.status, 401)
    t.equal(ended, 0)
  })
}

t.test('the runtimes lack what they are said to lack', async t => {
  for (const [name, { globals }] of Object.entries(RUNTIMES)) {
    const missing = runInContext(
      `[typeof AbortSignal.timeout, typeof AbortSignal.any, typeof structuredClone, typeof BroadcastChannel,
        typeof navigator.locks, typeof crypto === 'undefined' ? 'undefined' : typeof crypto.randomUUID]`,
      createContext(globals('http://127.0.0.1'))
    ) as string[]
    t.strictSame([...new Set(missing)], ['undefined'], name)
  }
})
