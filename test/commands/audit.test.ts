import t from 'tap'
import { run } from './support.js'

t.test('the audit trail on the command line', async t => {
  const directory = t.testdir({})
  await run(directory, ['users', 'add', 'alice'], { input: 'marble otter sings at noon\n' })
  await run(directory, ['users', 'disable', 'alice'])

  const table = await run(directory, ['audit'])
  t.equal(table.code, 0, table.stderr)
  t.match(
    table.stdout,
    /^AT +EVENT +OUTCOME +BY +FROM +SUBJECT +DETAILS\n\S+Z +user_disabled +success +command +- .*\n\S+Z +user_added +success +command +- .* username=alice/
  )
  const json = await run(
    directory,
    [
      'audit', '--user', 'alice', '--type', 'user_added', '--outcome', 'success', '--since', '1h', '--limit', '5',
      '--json'
    ]
  )
  t.match(
    JSON.parse(json.stdout),
    [
      {
        type: 'user_added',
        outcome: 'success',
        actor: { kind: 'command', id: null, address: null },
        details: { username: 'alice' }
      }
    ]
  )
  t.same(JSON.parse((await run(directory, ['audit', '--since', '2100-01-01', '--json'])).stdout), [])

  for (const [args, code, says] of [
    [['--type', 'x'], 2, /no event 'x'.*login_failed/],
    [['--outcome', 'x'], 2, /success, failure/],
    [['--since', 'yesterday'], 2, /24h/],
    [['--limit', '0'], 2, /whole number/],
    [['--user', 'nobody'], 3, /no user 'nobody'/]
  ] as const) {
    const outcome = await run(directory, ['audit', ...args])
    t.equal(outcome.code, code, args.join(' '))
    t.match(outcome.stderr, says)
  }
})
