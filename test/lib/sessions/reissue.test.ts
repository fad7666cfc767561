import t from 'tap'
import type { Grant } from '../../../lib/sessions/issued.js'
import type { PresentedToken } from '../../../lib/sessions/reissue.js'
import { createGate, createWall, createWorld, DAY, isPending, MINUTE } from '../support.js'

const REVOKED = { name: 'LatchkeyError', code: 'token_revoked', statusCode: 401 }

/** What the access token of a grant contains once it is verified. */
function present ({ user, sessionId, scopes, claims, issuedAt, clientId }: Grant): PresentedToken {
  const exp = Math.floor((issuedAt + 15 * MINUTE) / 1_000)
  const others = { iss: 'x', sub: user.id, aud: 'x', client_id: clientId, iat: 0, jti: 'x', scope: scopes.join(' ') }
  return { id: user.id, sessionId, scopes, claims: { ...others, ...claims, exp } }
}

t.test('the grant is of the same session, dated now, and expires with the token', async t => {
  const wall = createWall()
  const world = await createWorld(t, { wall })
  const grant = await world.sessions.start(await world.addUser())
  wall.move(5 * MINUTE)
  const reissued = await world.sessions.reissue(present(grant), '192.0.2.7')
  t.match(reissued, { sessionId: grant.sessionId, scopes: grant.scopes, latestExpiry: present(grant).claims.exp })
  t.ok(reissued.issuedAt >= grant.issuedAt + 5 * MINUTE)
  await t.resolves(world.sessions.refresh(grant.refreshToken), 'the refresh token is still current')
})

t.test('a rule that is written later kills what was reissued', async t => {
  const world = await createWorld(t)
  const grant = await world.sessions.start(await world.addUser())
  const { issuedAt, clientId } = await world.sessions.reissue(present(grant))
  await world.sessions.end(grant.user.id, grant.sessionId)
  const { sessionId, user: { id: userId } } = grant
  t.ok(world.revocations.isRevoked({ tokenId: 'any', sessionId, userId, clientId, issuedAt }))
})

t.test("no session, another user's, an ended and an expired one", async t => {
  const wall = createWall()
  const world = await createWorld(t, { wall })
  const user = await world.addUser()
  const grant = await world.sessions.start(user)
  const presented = present(grant)
  await t.rejects(world.sessions.reissue({ ...presented, sessionId: 'none' }), REVOKED)
  await t.rejects(world.sessions.reissue({ ...presented, id: (await world.addUser('bob')).id }), REVOKED)
  await world.sessions.end(user.id, grant.sessionId)
  await t.rejects(world.sessions.reissue(presented), REVOKED)
  const expired = present(await world.sessions.start(user))
  wall.move(400 * DAY)
  await t.rejects(world.sessions.reissue(expired), REVOKED)
})

t.test('what happens while the claims of the app are made counts', async t => {
  const gate = createGate()
  let isClosed = false
  const world = await createWorld(t, { async claims () { if (isClosed) await gate.pass(); return {} } })
  const user = await world.addUser()
  const [ended, lessened] = [await world.sessions.start(user), await world.sessions.start(user)]
  isClosed = true
  const pending = [world.sessions.reissue(present(ended)), world.sessions.reissue(present(lessened))]
  const outcomes = Promise.allSettled(pending)
  t.ok(await isPending(outcomes))
  await world.sessions.end(user.id, ended.sessionId)
  await world.users.setScopes(user.id, [])
  gate.open()
  t.match(await outcomes, [
    { status: 'rejected', reason: REVOKED }, { status: 'rejected', reason: { code: 'account_changed' } }
  ])
})
