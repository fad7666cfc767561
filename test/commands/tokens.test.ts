import t from 'tap'
import { isWellFormed } from '../../lib/personal-access-tokens/value.js'
import { PASSWORD } from '../helper.js'
import { run } from './support.js'

t.jobs = 2

t.test('personal access tokens are added, listed and revoked', async t => {
  const directory = t.testdir()
  const user = await run(directory, ['users', 'add', 'alice', '--scope', 'users:read'], { input: PASSWORD })
  t.match(user, { code: 0 })
  const added = await run(directory, [
    'tokens', 'add', 'alice', '--name', 'backup', '--scope', 'users:read', '--expires-in', '90d', '--json'
  ])
  t.match(added, { code: 0, stderr: '' })
  const token = JSON.parse(added.stdout) as { id: string, value: string, created_at: string, expires_at: string }
  t.match(token, { name: 'backup', scopes: ['users:read'], last_used_at: null })
  t.equal(Date.parse(token.expires_at) - Date.parse(token.created_at), 90 * 86_400_000)
  t.ok(isWellFormed(token.value))
  const shown = await run(directory, ['tokens', 'add', 'alice', '--name', 'another'])
  t.match(shown, { code: 0, stdout: /^id: {4}[0-9a-f-]{36}\nvalue: lkp_\w{42}\nCopy the value now.*\n$/ })
  const list = await run(directory, ['tokens', 'list', 'alice', '--json'])
  t.match(JSON.parse(list.stdout), [{ name: 'another', expires_at: null }, { id: token.id }])
  t.notMatch(list.stdout, /lkp_|hash/)
  t.match((await run(directory, ['tokens', 'list', 'alice'])).stdout, /^ID .*LAST USED {2}SCOPES\n.*another.*never {2,}never.*\n.*backup/)
  t.match(await run(directory, ['tokens', 'revoke', token.id]), { code: 0, stdout: `Revoked backup (${token.id}).\n` })
  t.match(await run(directory, ['tokens', 'revoke', token.id]), { code: 3, stderr: /There is no personal access token/ })
})

t.test('mistakes name what is legal', async t => {
  const directory = t.testdir()
  await run(directory, ['users', 'add', 'alice'], { input: PASSWORD })
  for (const [args, expected] of [
    [['alice'], { code: 2, stderr: /--name/ }],
    [['bob', '--name', 'x'], { code: 3, stderr: /There is no user 'bob'/ }],
    [['alice', '--name', 'x', '--scope', 'unheard:of'], { code: 1, stderr: /Unknown scope 'unheard:of'/ }],
    [['alice', '--name', 'x', '--scope', 'users:read'], { code: 1, stderr: /scope/ }],
    [['alice', '--name', ''], { code: 1, stderr: /name must be text of 1 to 100 characters/ }],
    [['alice', '--name', 'x', '--expires-in', 'soon'], { code: 2, stderr: /from 1s to 3650d, for example 90d/ }],
    [['alice', '--name', 'x', '--expires-in', '9999d'], { code: 2, stderr: /from 1s to 3650d/ }]
  ] as Array<[string[], object]>) t.match(await run(directory, ['tokens', 'add', ...args]), expected, args.join(' '))
})
