// An app for bundlers. It has no top-level await, because a CommonJS bundle cannot have one.
import Fastify from 'fastify'
import latchkey, { authenticate } from 'fastify-latchkey'

const user = { username: 'alice', password: 'marble otter sings at noon' }

async function start () {
  const app = Fastify()
  app.register(latchkey, { database: ':memory:', bcryptCost: 4 })
  app.get('/me', { onRequest: authenticate }, async request => request.user.id)
  await app.ready()
  await app.latchkey.users.add({ ...user, scopes: [] })
  const login = await app.inject({
    method: 'POST',
    url: '/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams({ grant_type: 'password', ...user }).toString()
  })
  const headers = { authorization: `Bearer ${login.json().access_token}` }
  const before = await app.inject({ url: '/me', headers })
  const logout = await app.inject({ method: 'POST', url: '/logout', headers })
  const after = await app.inject({ url: '/me', headers })
  await app.close()
  return [login, before, logout, after].map(({ statusCode }) => statusCode)
}

start().then(statuses => console.log(JSON.stringify(statuses)), error => {
  console.error(error.message)
  process.exitCode = 1
})
