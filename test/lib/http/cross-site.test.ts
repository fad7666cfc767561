import t from 'tap'
import { isCrossSite } from '../../../lib/http/cross-site.js'
import type { RequestOrigin } from '../../../lib/http/cross-site.js'

const HOST = 'auth.example.com'
const TRUSTED = new Set(['https://app.example.com'])

function ask (members: Partial<RequestOrigin>): boolean {
  return isCrossSite(
    { method: 'POST', fetchSite: undefined, origin: undefined, host: HOST, isUpgrade: false, ...members }, TRUSTED
  )
}

t.test('Sec-Fetch-Site decides where it is there', async t => {
  const table: Array<[fetchSite: string, method: string, isRefused: boolean]> = [
    ['same-origin', 'POST', false], ['none', 'POST', false], ['same-site', 'POST', true], ['cross-site', 'POST', true],
    ['cross-site', 'PUT', true], ['cross-site', 'PATCH', true], [
      'cross-site', 'DELETE', true
    ], ['cross-site', 'QUERY', true], ['cross-site', 'post', true],
    ['cross-site', 'GET', false], ['cross-site', 'HEAD', false], [
      'cross-site', 'OPTIONS', false
    ], ['cross-site', 'get', true],
    ['SAME-ORIGIN', 'POST', true], ['same-origin ', 'POST', true], ['anything', 'POST', true], [
      'same-origin, cross-site', 'POST', true
    ]
  ]
  for (const [fetchSite, method, isRefused] of table) {
    t.equal(
      ask({ fetchSite, method }), isRefused, `${method} ${fetchSite}`
    )
  }
  t.equal(ask({ fetchSite: 'same-origin', origin: 'https://evil.example' }), false, 'and Origin does not')
  t.equal(
    ask({ fetchSite: 'cross-site', origin: `https://${HOST}` }), true, 'nor here: a page cannot set it, a proxy can'
  )
})

t.test('without it, Origin decides', async t => {
  const table: Array<[origin: string | undefined, isRefused: boolean]> = [
    [undefined, false],
    [`https://${HOST}`, false],
    [`http://${HOST}`, false],
    [`https://${HOST}:443`, false],
    [`https://${HOST}:8443`, true],
    [`https://${HOST}.evil.example`, true],
    [`https://evil.example/${HOST}`, true],
    [`https://evil.example?${HOST}`, true],
    [`https://${HOST}@evil.example`, true],
    ['https://evil.example', true],
    ['https://other.example.com', true],
    ['null', true],
    ['', true],
    ['not a url', true],
    [HOST, true],
    ['file://', true],
    ['https://', true],
    ['chrome-extension://abcdef', true]
  ]
  for (const [origin, isRefused] of table) {
    t.equal(ask({ origin }), isRefused, String(origin))
    for (const method of ['GET', 'HEAD', 'OPTIONS']) t.equal(ask({ origin, method }), false, `${method} ${origin}`)
  }
})

t.test('the host with its port', async t => {
  const table: Array<[origin: string, host: string, isRefused: boolean]> = [
    ['http://localhost:3000', 'localhost:3000', false],
    ['http://localhost:3001', 'localhost:3000', true],
    ['http://localhost', 'localhost:3000', true],
    ['http://127.0.0.1:3000', 'localhost:3000', true],
    ['http://[::1]:3000', '[::1]:3000', false],
    ['https://example.com', '', true],
    ['null', 'null', true],
    ['file://', '', true],
    ['about:blank', '', true],
    ['capacitor://localhost', 'localhost', true],
    ['chrome-extension://abcdef', 'abcdef', true],
    ['data:text/html,x', '', true]
  ]
  for (const [origin, host, isRefused] of table) t.equal(ask({ origin, host }), isRefused, `${origin} to ${host}`)
})

t.test('trusted origins are compared whole', async t => {
  for (const fetchSite of ['cross-site', 'same-site', undefined]) {
    t.equal(ask({ fetchSite, origin: 'https://app.example.com' }), false, `trusted, ${fetchSite}`)
    for (const origin of [
      'http://app.example.com', 'https://app.example.com:8443', 'https://app.example.com.evil.example',
      'https://x.app.example.com', 'https://app.example.com/'
    ]) {
      t.equal(ask({ fetchSite, origin }), true, `${origin}, ${fetchSite}`)
    }
  }
  t.equal(
    isCrossSite(
      { method: 'POST', fetchSite: 'cross-site', origin: 'null', host: HOST, isUpgrade: false },
      new Set(['https://app.example.com'])
    ),
    true
  )
})

t.test('the trusted origin of an app is compared whole too, whatever Sec-Fetch-Site is', async t => {
  const trusted = new Set(['chrome-extension://abcdef', 'capacitor://localhost'])
  for (const fetchSite of ['none', 'same-site', 'cross-site', undefined]) {
    const refuses = (origin: string): boolean =>
      isCrossSite({ method: 'POST', fetchSite, origin, host: 'localhost', isUpgrade: false }, trusted)
    for (const origin of trusted) t.equal(refuses(origin), false, `${origin}, ${fetchSite}`)
    // A browser sends none for an extension to which the user has given access to the host.
    if (fetchSite === 'none') continue
    for (const origin of [
      'chrome-extension://abcdeg', 'chrome-extension://ABCDEF', 'moz-extension://abcdef', 'capacitor://localhost:1',
      'capacitor://localhost/', 'ionic://localhost', 'null'
    ]) t.equal(refuses(origin), true, `${origin}, ${fetchSite}`)
  }
})

t.test('a request to upgrade the connection follows the rule for POST, whatever its method', async t => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST']) {
    for (const fetchSite of ['same-site', 'cross-site']) {
      t.equal(
        ask({ method, fetchSite, isUpgrade: true }), true, `${method} ${fetchSite}`
      )
    }
    for (const origin of [`https://${HOST}:8443`, 'https://evil.example', 'null']) {
      t.equal(
        ask({ method, origin, isUpgrade: true }), true, `${method} ${origin}`
      )
    }
    t.equal(ask({ method, fetchSite: 'same-origin', isUpgrade: true }), false)
    t.equal(ask({ method, origin: `https://${HOST}`, isUpgrade: true }), false)
    t.equal(
      ask({ method, fetchSite: 'cross-site', origin: 'https://app.example.com', isUpgrade: true }), false, 'trusted'
    )
    t.equal(ask({ method, isUpgrade: true }), false, 'every browser sends at least one of the headers')
  }
})
