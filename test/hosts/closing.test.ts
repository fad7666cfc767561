import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import type { Test } from 'tap'

const run = promisify(execFile)
const app = new URL('../../app.js', import.meta.url).href

/** Runs a program until it ends by itself; what keeps it alive makes the test fail after 30 seconds. */
async function runProgram (t: Test, program: string): Promise<unknown> {
  const file = join(t.testdir({ 'program.mjs': program }), 'program.mjs')
  const { stdout } = await run(process.execPath, [...process.execArgv, file], { timeout: 30_000 })
  return JSON.parse(stdout)
}

t.test('app.close() ends everything: a process that has served, hashed and closed ends by itself', async t => {
  const database = join(t.testdirName, 'auth.db')
  const result = await runProgram(t, `
    import { fastify } from 'fastify'
    import { readdirSync, readlinkSync } from 'node:fs'
    import latchkey from '${app}'
    const app = fastify()
    await app.register(latchkey, { database: ${JSON.stringify(database)}, bcryptCost: 4, docs: true })
    await app.latchkey.users.add({ username: 'ada', password: 'difference engines hum' })
    const address = await app.listen({ port: 0 })
    const answer = await fetch(address + '/token', { method: 'POST', body: new URLSearchParams({ username: 'ada', password: 'difference engines hum' }) })
    await answer.json()
    const opened = () => process.platform !== 'linux' ? 0 : readdirSync('/proc/self/fd').filter(fd => {
      try { return readlinkSync('/proc/self/fd/' + fd).includes('auth.db') } catch { return false }
    }).length
    const before = opened()
    await app.close()
    console.log(JSON.stringify({ status: answer.status, before, after: opened() }))
  `) as { status: number, before: number, after: number }
  t.equal(result.status, 200)
  if (process.platform === 'linux') t.ok(result.before > 0, 'the database was open')
  t.equal(result.after, 0, 'and is closed')
  t.notOk(existsSync(`${database}-wal`), 'its log is written back')
  t.same(readdirSync(join(database, '..')).sort(), ['auth.db', 'auth.secret', 'program.mjs'])
})

t.test('a process that has booted and never listened ends by itself, also without close', async t => {
  t.same(await runProgram(t, `
    import { fastify } from 'fastify'
    import latchkey from '${app}'
    const app = fastify()
    await app.register(latchkey, { database: ':memory:' })
    await app.ready()
    console.log('{}')
  `), {})
})

t.test('a process that is being followed ends by itself when it is closed', async t => {
  const result = await runProgram(t, `
    import { fastify } from 'fastify'
    import latchkey from '${app}'
    const app = fastify()
    await app.register(latchkey, { database: ':memory:', bcryptCost: 4 })
    await app.latchkey.users.add({ username: 'ada', password: 'difference engines hum', scopes: ['revocations:read'] })
    const address = await app.listen({ port: 0 })
    const answer = await fetch(address + '/token', { method: 'POST', body: new URLSearchParams({ username: 'ada', password: 'difference engines hum' }) })
    const { access_token: token } = await answer.json()
    const headers = { authorization: 'Bearer ' + token, accept: 'text/event-stream' }
    const streams = await Promise.all([1, 2, 3].map(() => fetch(address + '/revocations', { headers })))
    const texts = streams.map(stream => stream.text())
    await app.close()
    console.log(JSON.stringify(await Promise.all(texts)))
  `) as string[]
  t.equal(result.length, 3)
  for (const text of result) t.match(text, /^event: state\n/)
})

t.test('closing twice, and closing before anything was served, is fine', async t => {
  t.same(await runProgram(t, `
    import { fastify } from 'fastify'
    import latchkey from '${app}'
    const app = fastify()
    await app.register(latchkey, { database: ':memory:' })
    await app.close()
    await app.close()
    console.log('{}')
  `), {})
})
