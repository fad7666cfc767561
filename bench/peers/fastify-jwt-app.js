// The code that fastify-jwt.js and fastify-jwt-blacklist.js share: @fastify/jwt, and a login with bcryptjs on the main
// thread.
//
// Based on https://github.com/fastify/fastify-jwt#readme ("Default options", `sign` and `verify`) and
// https://github.com/dcodeIO/bcrypt.js#readme. It pins the algorithm and checks `exp`, `iss` and `aud`, because a
// secret alone would check none of them. `cache` is off, as by default.

import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import bcrypt from 'bcryptjs'
import Fastify from 'fastify'
import fastifyJwt from '@fastify/jwt'

const ISSUER = 'https://auth.example.com'
const AUDIENCE = 'https://items.example.com'
const LIFETIME = 3600 // seconds
const PASSWORD = 'marble otter sings at noon'

const makeSecret = {
  HS256: () => randomBytes(32).toString('base64'),
  ES256: () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' }
    })
    return { private: privateKey, public: publicKey }
  }
}

/**
 * Creates an app with `POST /login`, a `login` that succeeds, and headers with an expired token and with one of another
 * key.
 */
export async function createApp (algorithm, { trusted } = {}) {
  if (!Object.hasOwn(makeSecret, algorithm)) throw new Error('Give HS256 or ES256')
  const app = Fastify()
  await app.register(fastifyJwt, {
    secret: makeSecret[algorithm](),
    sign: { algorithm, iss: ISSUER, aud: AUDIENCE, expiresIn: LIFETIME },
    verify: {
      algorithms: [algorithm],
      allowedIss: ISSUER,
      allowedAud: AUDIENCE,
      requiredClaims: ['exp', 'iss', 'aud']
    },
    trusted
  })

  const users = new Map([['johndoe', { scope: 'items:read', passwordHash: await bcrypt.hash(PASSWORD, 10) }]])

  app.post(
    '/login',
    {
      schema: {
        body: {
          type: 'object',
          required: ['username', 'password'],
          properties: { username: { type: 'string' }, password: { type: 'string' } }
        },
        response: {
          200: { type: 'object', required: ['access_token'], properties: { access_token: { type: 'string' } } }
        }
      }
    },
    async (request, reply) => {
      const { username, password } = request.body
      const user = users.get(username)
      if (user === undefined || !(await bcrypt.compare(password, user.passwordHash))) {
        return reply.code(401).send({ message: 'Incorrect username or password' })
      }
      return { access_token: app.jwt.sign({ sub: username, scope: user.scope, jti: randomUUID() }) }
    }
  )

  const login = {
    method: 'POST',
    path: '/login',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'johndoe', password: PASSWORD })
  }
  const claims = { sub: 'johndoe', scope: 'items:read', jti: randomUUID() }
  const expired = bearer(app.jwt.sign({ ...claims, iat: Math.floor(Date.now() / 1000) - 2 * LIFETIME }))
  const foreign = makeSecret[algorithm]()
  const forged = bearer(app.jwt.sign(claims, { key: foreign.private ?? foreign }))
  return { app, login, expired, forged }
}

/** Logs in, and returns the headers for a request. */
export async function logIn (url, login) {
  const response = await fetch(url + login.path, login)
  const { access_token: token } = await response.json()
  return bearer(token)
}

function bearer (token) {
  return { authorization: `Bearer ${token}` }
}
