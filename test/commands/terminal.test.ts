import { spawn, spawnSync } from 'node:child_process'
import t from 'tap'
import { toColumns } from '../../commands/columns.js'
import { createLogLines } from '../../commands/log-lines.js'
import { createProgress } from '../../commands/progress.js'
import { paint } from '../../commands/terminal.js'
import { CLI, environment, NODE, run } from './support.js'

// What people see at a terminal, and what a pipe gets instead.

function createOutput (isTTY: boolean) {
  const output = {
    text: '',
    isTTY,
    hasColors: () => isTTY,
    write: (text: string | Uint8Array) => { output.text += String(text); return true }
  }
  return output
}

t.test('the progress: a bar on a terminal, lines elsewhere', async t => {
  for (const isTTY of [true, false]) {
    const output = createOutput(isTTY)
    let time = 0
    const progress = createProgress(output, () => time)
    const at = (milliseconds: number, rows: number, part?: number): string => {
      time = milliseconds
      output.text = ''
      progress.report(rows, part)
      return output.text
    }
    if (isTTY) {
      t.equal(at(0, 0, 0), `[\x1b[32m\x1b[39m${'-'.repeat(24)}] 0 rows, 0 %`)
      t.equal(at(50, 100, 0.01), '', 'not more often than anybody sees')
      t.equal(
        at(5_000, 45_000, 0.5),
        `\r\x1b[K[\x1b[32m${'#'.repeat(12)}\x1b[39m${'-'.repeat(12)}] 45,000 rows, 50 %, 9,000 rows/s, 0:05 left`
      )
      output.text = ''
      progress.say('latchkey: line 7: it is not JSON')
      t.equal(output.text, '\r\x1b[Klatchkey: line 7: it is not JSON\n')
      t.equal(at(6_000, 60_000), '60,000 rows, 10,000 rows/s')
      output.text = ''
      progress.end()
      t.equal(output.text, '\r\x1b[K')
    } else {
      t.equal(at(9_999, 100, 0.01), '')
      t.equal(at(10_000, 100, 0.001), 'latchkey: 100 rows, 0 %, 10 rows/s, 2:46:30 left\n')
      t.equal(at(11_000, 200, 0.01), '')
      output.text = ''
      progress.say('x')
      progress.end()
      t.equal(output.text, 'x\n')
    }
  }
})

t.test('columns are aligned where a character takes two places or none, and nothing in them moves the terminal', async t => {
  const lines = toColumns(
    ['NAME', 'STATE'], [['\u6f22\u5b57', 'a'], ['e\u0301', 'b'], ['\u{1F600}', 'c'], ['\x1b[2J\u202ex', 'd']]
  ).split('\n')
  t.same(lines, ['NAME    STATE', '\u6f22\u5b57    a', 'e\u0301       b', '\u{1F600}      c', '?[2J?x  d'])
  t.equal(paint(createOutput(false), 'red', 'x'), 'x')
  t.equal(paint(createOutput(true), 'red', 'x'), '\x1b[31mx\x1b[39m')
})

t.test('questions are answered by pipe', async t => {
  const directory = t.testdir()
  await run(directory, ['users', 'add', 'alice'], { input: 'marble otter sings at noon' })
  t.match(
    await run(directory, ['users', 'remove', 'alice']),
    {
      code: 2,
      stdout: '',
      stderr:
        /^Remove alice permanently\? \[y\/N\]\nlatchkey: There is no answer on standard input: pipe y in, or use --yes\n$/
    }
  )
  for (const input of ['n\n', '\n\ny\n', 'yesterday\n']) t.match((await run(directory, ['users', 'remove', 'alice'], { input })).code, /^[12]$/, input)
  t.match(await run(directory, ['users', 'remove', 'alice'], { input: 'n\n' }), { code: 1, stdout: '', stderr: /Canceled: nothing was changed\. To continue, answer y or use --yes\n$/ })
  t.match(await run(directory, ['users', 'list', '--json']), { stdout: /alice/ })
  t.match(await run(directory, ['users', 'remove', 'alice', '--json'], { input: 'Yes\r\n' }), { code: 0, stdout: /alice/, stderr: '' })
})

const noScript = (process.platform !== 'linux' || spawnSync('script', ['--version']).error !== undefined) && 'there is no script(1) to make a terminal with'

/** Runs a shell command at a terminal, and returns what it prints. Presses Ctrl-C when the output matches `until`. */
async function atTerminal (directory: string, command: string, until?: RegExp): Promise<string> {
  return await new Promise<string>(resolve => {
    // Node.js takes the terminal of a CI for one without colours.
    const env = {
      ...environment({ TERM: 'xterm-256color' }), CI: undefined, FORCE_COLOR: undefined, NO_COLOR: undefined
    }
    const child = spawn(
      'script', ['-qec', command, '/dev/null'], { cwd: directory, env, stdio: ['pipe', 'pipe', 'inherit'] }
    )
    let text = ''
    let isStopped = false
    child.stdin.on('error', () => {}) // It may end before Ctrl-C arrives.
    child.stdout.on('data', chunk => {
      text += chunk
      if (isStopped || until?.test(text) !== true) return
      isStopped = true
      child.stdin.write('\x03')
    })
    child.on('close', () => resolve(text.replaceAll('\r\n', '\n')))
  })
}

t.test('a terminal gets colours, and none with NO_COLOR', { skip: noScript }, async t => {
  const command = `${NODE.join(' ')} ${CLI} users lst`
  const said = await atTerminal(t.testdir(), `${command}; NO_COLOR=1 ${command}; ${command} 2>&1 | cat`)
  t.same(
    said.trim().split('\n').map(text => text.startsWith('\x1b[31mlatchkey:\x1b[39m ')), [true, false, false], said
  )
})

t.test('on a terminal the service logs text, and JSON if the variable asks for it', { skip: noScript }, async t => {
  const directory = t.testdir()
  const serve = `${NODE.join(' ')} ${CLI} serve`
  const first = await atTerminal(directory, serve, /\/revoke'/)
  const [time, level] = first.split(' ')
  t.match(time, /\[90m\d\d:\d\d:\d\d/)
  t.equal(level, '\x1b[32mINFO')
  t.match(first, /Server listening at http:[\s\S]*no users[\s\S]*The API page is at http:\S+\/docs\.[\s\S]*curl/)
  t.notMatch(first, /^\{/m)
  t.match(first, /\/revoke'\n\n(\^C)?\S+ \S+INFO \S+ closing .*\n$/, 'nothing follows the password until Ctrl-C')
  const warned = await atTerminal(t.testdir({ other: {} }), `LATCHKEY_COOKIES_SECURE=false ${serve}`, /\/revoke'/)
  t.match(warned, /listening[\s\S]*cookies are not Secure[\s\S]*no users/)

  t.match(await atTerminal(directory, `LATCHKEY_LOG_FORMAT=json ${serve}`, /listening/), /^\{"level":30,.*\}\n/)
  // A pipe gets JSON, as test/commands/serve.test.ts shows.
  const piped = await atTerminal(directory, `LATCHKEY_LOG_FORMAT=text ${serve} | cat`, /listening/)
  t.match(piped, /^\d\d:\d\d:\d\d INFO {2}Server listening at http:\S+\n/)
})

t.test('a line of the log as text', async t => {
  const time = new Date(2026, 10, 30, 9, 5, 7).getTime()
  const common = { level: 30, time, pid: 1, hostname: 'h' }
  const actor = { kind: 'user', id: '5', address: null }
  const table: Array<[entry: object, text: string]> = [
    [
      { ...common, req: { method: 'POST', path: '/token', address: '::1' }, status: 200, ms: 1.5, msg: 'request' },
      '09:05:07 INFO  request method=POST path=/token address=::1 status=200 ms=1.5\n'
    ],
    [
      {
        ...common,
        level: 40,
        event: { type: 'x', outcome: 'failure', at: 5, actor, subject: null, details: { before: ['a', 'b'], to: '' } },
        msg: 'x'
      },
      '09:05:07 WARN  x actor.kind=user actor.id=5 before=a,b to=\n'
    ],
    [{ ...common, level: 35, msg: 'a\x1b[2Jb\nc', name: 'x\u202e' }, '09:05:07 35    a?[2Jb?c name=x?\n'],
    [
      { ...common, level: 60, err: { type: 'Error', message: 'boom', stack: 'Error: boom\n    at x\x07' }, msg: 'end' },
      '09:05:07 FATAL end\n    Error: boom\n    at x?\n'
    ],
    [
      { ...common, path: 'a status=200', 'b c': ['x', 'y z', { toString: 1 }, 'say "no"'], line: 'a\nb', ok: true, msg: 'x' },
      '09:05:07 INFO  x path="a status=200" "b c"=x,"y z","{\\"toString\\":1}","say \\"no\\"" line="a\\nb" ok=true\n'
    ],
    [{ ...common, level: { toString: 1 }, msg: 'x' }, '09:05:07 {"toString":1} x\n'],
    [{ ...common, level: '\x1b[2J', time: { toString: 1 }, err: { message: { toString: 1 } }, msg: 'x' }, 'Invalid  ?[2J  x\n    {"toString":1}\n'],
    [{ ...common, err: { message: 'boom' } }, '09:05:07 INFO  \n    boom\n']
  ]
  for (const [entry, text] of table) {
    const output = createOutput(false)
    createLogLines(output).write(`${JSON.stringify(entry)}\n`)
    t.equal(output.text, text)
  }
})
