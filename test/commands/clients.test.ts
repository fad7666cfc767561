import t from 'tap'
import { run } from './support.js'

t.jobs = 2

t.test('a public client is added without a secret, is listed as one, and cannot get one', async t => {
  const directory = t.testdir()
  const added = await run(directory, ['clients', 'add', 'spa', '--public', '--scope', 'tokens:introspect', '--json'])
  const client = JSON.parse(added.stdout) as { id: string }
  t.match(client, { public: true, grants: ['password'], scopes: ['tokens:introspect'] })
  t.notOk('secret' in client)
  t.match((await run(directory, ['clients', 'list'])).stdout, /spa.*public/)
  t.match(await run(directory, ['clients', 'rotate-secret', client.id]), { code: 1, stderr: /public and has no secret/ })
  const refused = await run(directory, ['clients', 'add', 'spa', '--public', '--grant', 'client_credentials'])
  t.match(refused, { code: 2, stderr: /only --grant password/ })
})

t.test('machine clients are added, listed, given another secret and removed', async t => {
  const directory = t.testdir()
  const added = await run(
    directory,
    [
      'clients', 'add', 'billing', '--scope', 'tokens:introspect', '--grant', 'password', '--grant',
      'client_credentials', '--json'
    ]
  )
  t.match(added, { code: 0, stderr: '' })
  const client = JSON.parse(added.stdout) as { id: string, secret: string }
  t.match(
    client,
    {
      id: /^lkc_[0-9a-f]{32}$/,
      name: 'billing',
      scopes: ['tokens:introspect'],
      grants: ['client_credentials', 'password'],
      secret: /^lks_/,
      created_at: /Z$/
    }
  )
  const shown = await run(directory, ['clients', 'add', 'reports'])
  t.match(
    shown,
    {
      code: 0, stdout: /^client_id: {5}lkc_[0-9a-f]{32}\nclient_secret: lks_[A-Za-z0-9_-]{43}\nCopy the secret now.*\n$/
    }
  )

  const list = await run(directory, ['clients', 'list', '--json'])
  t.match(JSON.parse(list.stdout), [{ id: client.id }, { name: 'reports', scopes: [], grants: ['client_credentials'] }])
  t.notMatch(list.stdout, /lks_|secret"|hash/)
  t.match(
    (await run(directory, ['clients', 'list'])).stdout,
    /^ID .* NAME .*SCOPES\nlkc_.* billing .*tokens:introspect\nlkc_.* reports .*\n$/
  )

  const rotated = JSON.parse(
    (await run(directory, ['clients', 'rotate-secret', client.id, '--json'])).stdout
  ) as { secret: string }
  t.match(rotated, { id: client.id, secret: /^lks_/ })
  t.not(rotated.secret, client.secret)
  t.match(
    await run(directory, ['clients', 'remove', client.id, '--yes']),
    { code: 0, stdout: 'Removed billing. All its sessions and tokens are invalid.\n' }
  )
  for (const verb of [['rotate-secret', client.id], ['remove', client.id, '--yes']]) {
    t.match(
      await run(directory, ['clients', ...verb]),
      { code: 3, stdout: '', stderr: /^latchkey: There is no client 'lkc_.*' in .*: 'latchkey clients list' lists/ }
    )
  }
})

t.test('what is refused says why, and adds nothing', async t => {
  const directory = t.testdir()
  const cases: Array<[args: string[], code: number, says: RegExp]> = [
    [['add', 'x', '--scope', 'nonsense'], 1, /Unknown scope 'nonsense'/],
    [
      ['add', 'x', '--grant', 'implicit'], 2,
      /There is no grant type 'implicit'\. Choose from: client_credentials, password/
    ],
    [['add', ' x'], 2, /A client's name cannot begin or end with a space/],
    [['add', 'x', '--secret', 'mine'], 2, /unknown option '--secret'/],
    [['remove', 'lkc_x'], 3, /There is no client 'lkc_x'/]
  ]
  for (const [args, code, says] of cases) {
    t.match(
      await run(directory, ['clients', ...args]), { code, stdout: '', stderr: says }, args.join(' ')
    )
  }
  t.match(await run(directory, ['clients', 'list', '--json']), { code: 0, stdout: '[]\n' })
})
