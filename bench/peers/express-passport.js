// Express with passport-jwt (HS256). With the argument `key-object`, the secret is parsed once. The documentation of
// passport-jwt does not mention this, but that of jsonwebtoken allows it. On Node 20, a string costs 50 times as much
// as the signature check, because jsonwebtoken first tries to parse it as a public key for each token
// (https://github.com/auth0/node-jsonwebtoken/issues/1046).
//
// Based on https://www.passportjs.org/packages/passport-jwt/, https://github.com/auth0/node-jsonwebtoken#readme and
// https://expressjs.com/en/advanced/best-practice-security.html (`x-powered-by`).

import { createSecretKey, randomBytes } from 'node:crypto'
import express from 'express'
import jwt from 'jsonwebtoken'
import passport from 'passport'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { announce } from './announce.js'
import { ITEM } from './item.js'

const ISSUER = 'https://auth.example.com'
const AUDIENCE = 'https://items.example.com'
const secret = randomBytes(32).toString('base64')

passport.use(new Strategy({
  jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
  secretOrKey: process.argv[2] === 'key-object' ? createSecretKey(secret, 'utf8') : secret,
  algorithms: ['HS256'],
  issuer: ISSUER,
  audience: AUDIENCE
}, (claims, done) => done(null, { id: claims.sub, scope: claims.scope })))

const app = express()
app.disable('x-powered-by')

function requireScope (scope) {
  return (request, response, next) => {
    if (request.user.scope.split(' ').includes(scope)) next()
    else response.status(403).json({ message: 'Missing scope' })
  }
}

app.get(
  '/items/1',
  passport.authenticate('jwt', { session: false }),
  requireScope('items:read'),
  (request, response) => {
    response.json(ITEM)
  }
)

function bearer (key, expiresIn) {
  const token = jwt.sign({ scope: 'items:read' }, key, {
    subject: 'johndoe',
    issuer: ISSUER,
    audience: AUDIENCE,
    expiresIn
  })
  return { authorization: `Bearer ${token}` }
}

const server = app.listen(0, '127.0.0.1', () => announce({
  url: `http://127.0.0.1:${server.address().port}`,
  headers: { good: bearer(secret, '1h'), expired: bearer(secret, '-1h'), forged: bearer(randomBytes(32), '1h') }
}))
