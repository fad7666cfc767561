import fastifyWebsocket from '@fastify/websocket'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { WebSocket as Socket } from 'ws'
import latchkey, { authenticate } from '../../app.js'
import type { Guard, LatchkeyOptions } from '../../app.js'
import { createClient } from '../../client/index.js'
import verifier, { authenticate as authenticateRemote } from '../../verifier/plugin.js'
import { bearer, logIn, logInWithCookies, PASSWORD, TEST_OPTIONS } from '../helper.js'
import { createHost } from '../routes/support.js'
import { createIssuer } from '../verifier/support.js'
import { launch, skip } from './browser/support.js'

// A WebSocket handshake is a GET. A page of another site can start one, and can read the messages.

t.setTimeout(120_000)

const COOKIES = {
  cookies: { secure: false }, trustedOrigins: ['https://app.example']
} as const satisfies LatchkeyOptions

async function addSocket (app: FastifyInstance, guard: Guard): Promise<void> {
  await app.register(fastifyWebsocket)
  app.get('/ws', { websocket: true, onRequest: guard }, (socket, request) => { socket.send(request.user.id) })
}

/** Returns the first message of the socket, or the error that refuses it. */
async function open (app: FastifyInstance, headers: Record<string, string>): Promise<string> {
  try {
    return await new Promise((resolve, reject) => {
      app.injectWS('/ws', { headers: { host: 'localhost:3000', ...headers } }, {
        onInit (socket) {
          socket.on('message', data => {
            resolve(String(data))
            socket.terminate()
          })
        }
      }).catch(reject)
    })
  } catch (error) {
    return (error as Error).message
  }
}

t.test('a handshake that authenticates by cookie follows the rule for POST, in the plugin and in the verifier', async t => {
  const { app: service, issuer } = await createIssuer(t, COOKIES, async app => await addSocket(app, app.authenticate))
  const remote = createHost(t)
  await remote.register(verifier, { issuer, revocations: 'none', ...COOKIES })
  await addSocket(remote, authenticateRemote)
  await remote.ready()

  const { cookie } = await logInWithCookies(service)
  const { access_token: token } = await logIn(service)
  const refused = 'Unexpected server response: 403'
  const id = (await service.latchkey.users.findByName('alice'))?.id ?? ''
  const table: Array<[headers: Record<string, string>, outcome: string]> = [
    [{ cookie }, id],
    [{ cookie, origin: 'http://localhost:3000' }, id],
    [{ cookie, origin: 'https://app.example' }, id],
    [{ cookie, origin: 'http://localhost:3000', 'sec-fetch-site': 'same-origin' }, id],
    [{ cookie, origin: 'http://localhost:3001' }, refused],
    [{ cookie, origin: 'https://evil.example' }, refused],
    [{ cookie, origin: 'null' }, refused],
    [{ cookie, 'sec-fetch-site': 'same-site' }, refused],
    [{ cookie, 'sec-fetch-site': 'cross-site' }, refused],
    [{ ...bearer(token), origin: 'https://evil.example' }, id],
    [{}, 'Unexpected server response: 401']
  ]
  for (const [headers, outcome] of table) {
    for (const app of [service, remote]) {
      t.equal(
        await open(app, headers), outcome, JSON.stringify(headers).slice(0, 120)
      )
    }
  }
})

t.test('a program sends the token of the client with the handshake', async t => {
  const { issuer, app } = await createIssuer(t, {}, async app => await addSocket(app, app.authenticate))
  const client = createClient({ url: issuer })
  const handshake = async (): Promise<string> => await new Promise((resolve, reject) => {
    client.accessToken().then(token => {
      const socket = new Socket(`${issuer.replace('http', 'ws')}/ws`, {
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` }
      })
      socket.on('message', data => {
        resolve(String(data))
        socket.terminate()
      })
      socket.on('error', ({ message }) => resolve(message))
    }).catch(reject)
  })
  t.equal(await handshake(), 'Unexpected server response: 401')
  await client.logIn({ username: 'alice', password: PASSWORD })
  t.equal(await handshake(), (await app.latchkey.users.findByName('alice'))?.id)
})

t.test('in a browser: a page on another port of the same host cannot open the socket of a signed-in visitor', {
  skip
}, async t => {
  const app = createHost(t)
  await app.register(latchkey, { ...TEST_OPTIONS, ...COOKIES, issuer: 'http://localhost' })
  await addSocket(app, authenticate)
  const other = createHost(t)
  for (const host of [app, other]) {
    host.get(
      '/page', async (_request, reply) => reply.type('text/html').send('<!doctype html><title>page</title>')
    )
  }
  const own = (await app.listen({ port: 0, host: '127.0.0.1' })).replace('127.0.0.1', 'localhost')
  const neighbour = (await other.listen({ port: 0, host: '127.0.0.1' })).replace('127.0.0.1', 'localhost')
  const { id } = await app.latchkey.users.add({ username: 'alice', password: PASSWORD })

  const context = await (await launch(t)).newContext()
  const page = await context.newPage()
  await page.goto(`${own}/page`)
  t.equal(
    await page.evaluate(
      async body => (await fetch(
        '/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body }
      )).status,
      JSON.stringify({ username: 'alice', password: PASSWORD })
    ),
    200
  )
  const read = async (
    url: string
  ): Promise<string> => await page.evaluate(async url => await new Promise<string>(resolve => {
    const socket = new WebSocket(url)
    socket.onmessage = event => resolve(String(event.data))
    socket.onerror = () => resolve('refused')
  }), url)
  const socketUrl = `${own.replace('http', 'ws')}/ws`
  t.equal(await read(socketUrl), id, 'a page of the same origin')
  await page.goto(`${neighbour}/page`)
  t.equal(await read(socketUrl), 'refused', 'a page on another port, whose requests carry the same cookies')
})
