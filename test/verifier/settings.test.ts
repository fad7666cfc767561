import t from 'tap'
import { createVerifier } from '../../verifier/index.js'
import type { VerifierOptions } from '../../verifier/index.js'
import { readVerifierOptions } from '../../verifier/settings.js'
import { CREDENTIALS } from './support.js'

const issuer = 'https://auth.example.com'

t.test('defaults', async t => {
  const settings = readVerifierOptions({ issuer, ...CREDENTIALS })
  t.match(
    settings,
    {
      issuer,
      audience: [issuer],
      credentials: CREDENTIALS,
      revocationBound: 1_000,
      whenStale: 'refuse',
      scopes: undefined,
      fetch: globalThis.fetch
    }
  )
  const { wall, stopwatch } = settings.time
  t.ok(Math.abs(wall() - Date.now()) < 1_000)
  t.ok(Math.abs(stopwatch() - performance.now()) < 1_000)
  t.equal(settings.log.info({}, ''), undefined)
  t.equal(readVerifierOptions({ issuer, ...CREDENTIALS, now: () => 5 }).time.stopwatch(), 5, 'a clock of tests is both')
  t.match(
    readVerifierOptions({ issuer, revocations: 'none', audience: ['a', 'b'], clientId: undefined }),
    { credentials: undefined, audience: ['a', 'b'] }
  )
})

t.test('issuers', async t => {
  for (const good of [
    'https://auth.example.com', 'https://auth.example.com:8443/a/b', 'http://127.0.0.1:3000', 'http://127.1.2.3',
    'http://localhost', 'http://localhost:3000/auth', 'http://[::1]:3000'
  ]) {
    t.equal(readVerifierOptions({ issuer: good, ...CREDENTIALS }).issuer, good)
  }
  for (const bad of [
    'http://auth.example.com', 'http://localhost.evil.example', 'http://127.0.0.1.evil.example',
    'http://127.0.0.1@evil.example', 'http://localhost:80@evil.example', 'https://auth.example.com?a',
    'https://a:b@auth.example.com', 'https://auth.example.com#a', 'ftp://a', 'auth', '', 1, null
  ]) {
    t.throws(
      () => readVerifierOptions({ issuer: bad, ...CREDENTIALS }),
      { name: 'TypeError', message: /^Latchkey: the option issuer is .*: it must be an https URL/ }, String(bad)
    )
  }
})

t.test('each wrong option stops it at once, in one sentence that names it and what is legal', async t => {
  const good = { issuer, ...CREDENTIALS }
  const table: Array<[options: unknown, message: RegExp]> = [
    [undefined, /^Latchkey: the options must be an object$/],
    [{ ...CREDENTIALS }, /^Latchkey: the option issuer is missing: it must be an https URL/],
    [
      { issuer },
      /^Latchkey: the options clientId and clientSecret are missing: .*revocations:read\. .*revocations: 'none' instead$/
    ],
    [{ issuer, clientId: 'a' }, /clientId and clientSecret are missing/],
    [{ issuer, clientSecret: 'a' }, /clientId and clientSecret are missing/],
    [
      { issuer, revocations: 'none', clientId: 'a' },
      /^Latchkey: the option clientId has no effect with revocations: 'none'/
    ],
    [
      { issuer, revocations: 'none', clientSecret: 'hush' },
      /^Latchkey: the option clientSecret has no effect with revocations: 'none'/
    ],
    [
      { issuer, revocations: 'none', whenStale: 'introspect' },
      /^Latchkey: the option whenStale has no effect with revocations: 'none'/
    ],
    [{ ...good, revocations: false }, /^Latchkey: the option revocations is false: it must be 'feed' or 'none'$/],
    [
      { ...good, whenStale: 'accept' },
      /^Latchkey: the option whenStale is "accept": it must be 'refuse' or 'introspect'$/
    ],
    [
      { ...good, revocationBound: '499ms' },
      /^Latchkey: the option revocationBound is "499ms": it must be a duration such as 1s, at least 500ms$/
    ],
    [{ ...good, revocationBound: 1_000 }, /^Latchkey: the option revocationBound is 1000: it must be a duration/],
    [{ ...good, audience: [] }, /^Latchkey: the option audience is \[\]: it must be a name or a list of names$/],
    [
      { ...good, clientSecret: ['hush'] },
      /^Latchkey: the option clientSecret is invalid: it must be the secret of that client$/
    ],
    [{ ...good, scopes: { 'a b': '' } }, /^Latchkey: the option scopes is .*: it must be names in printable ASCII/],
    [
      { ...good, log: { info () {} } },
      /^Latchkey: the option log is .*: it must be an object with the functions info and warn/
    ],
    [{ ...good, fetch: 'fetch' }, /^Latchkey: the option fetch is "fetch": it must be a function$/],
    [{ ...good, now: 1 }, /^Latchkey: the option now is 1: it must be a function$/],
    [{ ...good, stopwatch: 1 }, /^Latchkey: the option stopwatch is 1: it must be a function$/],
    [{ ...good, isuer: issuer }, /^Latchkey: there is no option isuer; the options are issuer, audience, clientId/]
  ]
  for (const [options, message] of table) {
    t.throws(() => createVerifier(options as VerifierOptions), { name: 'TypeError', message }, String(message))
  }
  for (const [options] of table) {
    try {
      readVerifierOptions(options)
    } catch (error) {
      t.notMatch((error as Error).message, /hush/)
    }
  }
})
