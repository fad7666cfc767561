import { createClient } from './client.js'

const client = createClient({ url: '/auth', transport: 'cookie' })

/** How often a connection is renewed, in milliseconds. The client refreshes the token a minute before it expires. */
const RENEWAL = 30_000

/** Close codes of the server: see server.ts. */
const TOKEN_DEAD = 4401

const $ = id => document.getElementById(id)

/** The ids of the open connections. */
const open = { socket: undefined, events: undefined }

function show (name, text) {
  $(name).textContent = text
}

/** Lets the server follow the fresh token in the cookie. `client.fetch` refreshes it first if it is about to expire. */
async function renew () {
  for (const id of Object.values(open)) {
    if (id !== undefined) await client.fetch(`/connections/${id}`, { method: 'POST' })
  }
}

function take (name, message) {
  if (message.type === 'hello') open[name] = message.id
  show(name, message.type === 'hello' ? 'open' : message.text)
}

/** The token of a connection was revoked or has expired. Opens the connection again if the session still exists. */
async function reopen (name, code) {
  open[name] = undefined
  show(name, `closed: ${code}`)
  const { ok } = await client.fetch('/auth/users/me')
  if (ok) connect[name]()
}

const connect = {
  socket () {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/socket`)
    socket.onmessage = ({ data }) => take('socket', JSON.parse(data))
    socket.onclose = ({ code, reason }) => {
      if (code === TOKEN_DEAD) reopen('socket', reason)
      else show('socket', `closed: ${code}`)
    }
  },
  events () {
    const source = new EventSource('/events')
    for (const type of ['hello', 'message']) {
      source.addEventListener(type, ({ data }) => take('events', JSON.parse(data)))
    }
    source.addEventListener('end', ({ data }) => {
      // Otherwise the browser would reconnect automatically, with the same invalid token.
      source.close()
      reopen('events', JSON.parse(data).code)
    })
  }
}

$('login').addEventListener('submit', async event => {
  event.preventDefault()
  const { username, password } = event.target.elements
  await client.logIn({ username: username.value, password: password.value })
  connect.socket()
  connect.events()
})

$('say').addEventListener('submit', async event => {
  event.preventDefault()
  const { text } = event.target.elements
  await client.fetch('/messages', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ text: text.value })
  })
})

$('renew').addEventListener('click', renew)
$('logout').addEventListener('click', () => client.logOut('all'))

setInterval(renew, RENEWAL)
