import t from 'tap'
import { run } from '../../../commands/support.js'
import { readHosts } from '../../../../lib/store/postgres/hosts.js'
import { describeUrl } from '../../../../lib/store/postgres/url.js'

t.test('a URL names one server, or several as in libpq', async t => {
  const table: Array<[url: string, servers: string[]]> = [
    ['postgres://u:p@one/db', ['postgres://u:p@one/db']],
    ['postgres://u:p@one:1,two:2/db', ['postgres://u:p@one:1/db', 'postgres://u:p@two:2/db']],
    ['postgresql://one,two', ['postgresql://one', 'postgresql://two']],
    ['postgres://u:a,b@[::1]:1,[::2]:2/db?sslmode=disable', [
      'postgres://u:a,b@[::1]:1/db?sslmode=disable', 'postgres://u:a,b@[::2]:2/db?sslmode=disable'
    ]],
    ['postgres://u@one,two/db?target_session_attrs=read-write', [
      'postgres://u@one/db?target_session_attrs=read-write', 'postgres://u@two/db?target_session_attrs=read-write'
    ]],
    ['postgres://u@/db?host=one,two&port=1,2', [
      'postgres://u@/db?host=one&port=1', 'postgres://u@/db?host=two&port=2'
    ]],
    ['postgres:///db?host=one,two&port=7', ['postgres:///db?host=one&port=7', 'postgres:///db?host=two&port=7']],
    ['postgres://u@one,two/db?options=-c%20search_path%3Dapp', [
      'postgres://u@one/db?options=-c+search_path%3Dapp', 'postgres://u@two/db?options=-c+search_path%3Dapp'
    ]]
  ]
  for (const [url, servers] of table) {
    const { urls, current } = readHosts(url)
    t.same(urls.map(one => one.replace(/\?$/, '')), servers, url)
    t.equal(current, urls[0])
  }
})

t.test('the error for a URL that cannot work says what to change, and hides the password', async t => {
  const table: Array<[url: string, says: RegExp]> = [
    ['postgres://u:SECRET@one,,two/db', /contains an empty one/],
    ['postgres://u:SECRET@one,/db', /contains an empty one/],
    ['postgres://u:SECRET@one:99999,two/db', /not a valid URL; percent-encode/],
    ['postgres://u:SECRET@one:x/db', /not a valid URL; percent-encode/],
    ['postgres://u:SECRET/X@one:1/db', /not a valid URL; percent-encode/],
    ['postgres://u:SECRET@/db?host=one,two,three&port=1,2', /3 hosts and 2 ports/],
    ['postgres://u:SECRET@one/db?target_session_attrs=standby', /is "standby", but.* any, read-write, primary/],
    ['postgres://u:SECRET@one/db?target_session_attrs=any&target_session_attrs=read-only', /is "read-only", but/],
    ['postgres://u:SECRET@one/db?sslrootcert=/nowhere/ca.pem', /ENOENT/]
  ]
  for (const [url, says] of table) {
    t.throws(() => readHosts(url), { name: 'UnfitDatabase', message: says }, url)
    try {
      readHosts(url)
    } catch (error) {
      t.notMatch((error as Error).message, /SECRET/)
    }
    t.notMatch(describeUrl(url), /SECRET/)
  }
})

t.test('a message names all servers', async t => {
  t.equal(describeUrl('postgres://u:SECRET@one:1,two:2/db?password=SECRET'), 'postgres://u@one:1,two:2/db')
  t.equal(describeUrl('postgres://one,two/db'), 'postgres://one,two/db')
})

t.test('the command line reports that waiting does not help with such a URL', async t => {
  const env = { LATCHKEY_DATABASE: 'postgres://u:p@one:1,two:x/db', LATCHKEY_SECRET: 'x'.repeat(40) }
  t.match(await run(t.testdir(), ['migrate'], { env }), { code: 1, stderr: /it is not a valid URL; percent-encode/ })
})
