import { Writable } from 'node:stream'
import t from 'tap'
import type { SecurityEvent } from '../../app.js'
import { build, logIn, PASSWORD, postForm } from '../helper.js'

function createLog (): { stream: Writable, lines: () => Array<Record<string, unknown>> } {
  let text = ''
  const stream = new Writable({ write (chunk, _encoding, done) { text += chunk; done() } })
  return {
    stream,
    lines: () => text.trim().split('\n').filter(line => line !== '').map(
      line => JSON.parse(line) as Record<string, unknown>
    )
  }
}

t.test('the host hears of what happened, after it is durable, and what its hook throws changes nothing', async t => {
  const heard: SecurityEvent[] = []
  const log = createLog()
  const { app } = await build(t, {
    async onEvent (event) {
      heard.push(event)
      if (event.type === 'login') throw new Error('the mail server is down')
    }
  }, { logger: { level: 'info', stream: log.stream } })
  heard.length = 0
  const { refresh_token: token } = await logIn(app)
  await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: token })
  const refused = await postForm(app, '/token', { grant_type: 'password', username: 'alice', password: 'wrong' })
  t.equal(refused.statusCode, 400)
  t.same(heard.map(({ type }) => type), ['login', 'refresh', 'login_failed'])
  const alice = await app.latchkey.users.findByName('alice')
  t.match(
    heard[0],
    {
      outcome: 'success',
      actor: { kind: 'user', id: alice?.id, address: '127.0.0.1' },
      subject: alice?.id,
      clientId: 'latchkey'
    }
  )
  t.match(
    heard[2], { outcome: 'failure', actor: { kind: 'anonymous', id: null, address: '127.0.0.1' }, subject: alice?.id }
  )
  t.throws(() => { (heard[0] as { type: string }).type = 'x' }, 'a listener changes nothing for the next')

  const lines = log.lines()
  t.match(
    lines.find(line => line.msg === 'the option onEvent failed'),
    { level: 50, type: 'login', err: { message: 'the mail server is down' } }
  )
  t.match(lines.find(line => line.msg === 'login'), { level: 30, event: { type: 'login', subject: alice?.id } })
  t.match(lines.find(line => line.msg === 'login_failed'), { level: 40, event: { outcome: 'failure' } })
  t.notOk(lines.some(line => line.msg === 'refresh'), 'what happens every few minutes to everybody is for debugging')
})

t.test('what is typed as the name of nobody is kept nowhere', async t => {
  const heard: SecurityEvent[] = []
  const log = createLog()
  const { app } = await build(
    t, { onEvent: event => { heard.push(event) } }, { logger: { level: 'trace', stream: log.stream } }
  )
  await postForm(app, '/token', { grant_type: 'password', username: PASSWORD, password: 'oh, that was the password' })
  t.match(heard.at(-1), { type: 'login_failed', subject: null })
  const trail = await app.latchkey.audit.list()
  t.notMatch(JSON.stringify([log.lines(), trail, heard]), /marble otter|oh, that/)
})
