import jwt from 'jsonwebtoken'
import t from 'tap'
import { createWorld, openKeys, SECOND } from '../lib/support.js'

const OLD_SECRET = '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7'

t.test('tokens of a FastAPI tutorial app, made by jsonwebtoken, are honoured until they expire', async t => {
  const world = await createWorld(t)
  const { tokens, keys } = await openKeys(world)
  await keys.importVerifyOnlyKey(Buffer.from(OLD_SECRET), { algorithm: 'HS256' })
  const now = Math.floor(world.wall() / 1000)
  const claims = { sub: 'johndoe', exp: now + 1800, scopes: ['items:read', 'me'] }
  const token = jwt.sign(claims, OLD_SECRET, { noTimestamp: true })
  const user = await tokens.verify(token)
  t.match(user, { id: 'johndoe', scopes: ['items:read'], clientId: 'latchkey' })
  t.equal(user.sessionId, undefined)
  t.equal(user.claims.sid, undefined)
  t.equal(await tokens.verify(token), user, 'and remembered')
  world.wall.move(1800 * SECOND - 250)
  t.throws(() => tokens.verify(token), { code: 'token_expired' })
})
