import { inflateSync } from 'node:zlib'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import type { JWTVerifyGetKey } from 'jose'
import t from 'tap'
import { PASSWORD } from '../helper.js'
import { serve } from './support.js'

// A resource server that knows draft-ietf-oauth-status-list-21 and nothing of us: with jose, fetch and zlib, step by
// step as section 8.3 has it.

interface StatusListClaims {
  sub?: string
  iat?: number
  exp?: number
  ttl?: number
  status_list?: { bits: number, lst: string }
}

/** A verifier of one issuer. Its cache is the list itself, for as long as `ttl` says. */
function createVerifier (issuer: string) {
  const keys: JWTVerifyGetKey = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`))
  const etags = new Map<string, { etag: string, list: string }>()
  let unchanged = 0

  async function fetchList (uri: string): Promise<string> {
    const known = etags.get(uri)
    const response = await fetch(
      uri,
      {
        headers: {
          accept: 'application/statuslist+jwt', ...(known === undefined ? {} : { 'if-none-match': known.etag })
        }
      }
    )
    if (response.status === 304 && known !== undefined) {
      unchanged++
      return known.list
    }
    if (response.status !== 200 || response.headers.get(
      'content-type'
    ) !== 'application/statuslist+jwt') {
      throw new Error(
      `no list: ${response.status}`
      )
    }
    const list = await response.text()
    etags.set(uri, { etag: response.headers.get('etag') ?? '', list })
    return list
  }

  return {
    keys,
    get unchanged () {
      return unchanged
    },
    async isLive (token: string): Promise<boolean> {
      const { payload } = await jwtVerify<{
        status?: { status_list?: { idx: number, uri: string } }
      }>(token, keys, { issuer, audience: issuer, typ: 'at+jwt' })
      const reference = payload.status?.status_list
      if (reference === undefined) throw new Error('the token refers to no status list')
      const { payload: list } = await jwtVerify<StatusListClaims>(
        await fetchList(reference.uri), keys,
        { subject: reference.uri, typ: 'statuslist+jwt', requiredClaims: ['iat', 'exp', 'ttl', 'status_list'] }
      )
      if (list.status_list?.bits !== 1) throw new Error('other bits than were expected')
      const bytes = inflateSync(Buffer.from(list.status_list.lst, 'base64url'))
      const byte = bytes[reference.idx >> 3]
      if (byte === undefined) throw new Error('the index is out of bounds')
      return ((byte >> (reference.idx & 7)) & 1) === 0
    }
  }
}

for (const algorithm of ['ES256', 'EdDSA'] as const) {
  t.test(`a verifier that knows the standard and not us hears of a logout: ${algorithm}`, async t => {
    const { issuer } = await serve(t, { algorithm, statusList: true })
    const logIn = async (): Promise<string> => {
      const response = await fetch(
        `${issuer}/token`, { method: 'POST', body: new URLSearchParams({ username: 'alice', password: PASSWORD }) }
      )
      return ((await response.json()) as { access_token: string }).access_token
    }
    const verifier = createVerifier(issuer)
    const token = await logIn()
    const other = await logIn()
    t.ok(await verifier.isLive(token))
    t.ok(await verifier.isLive(other))
    t.equal(verifier.unchanged, 1, 'one list for both, and not sent twice')

    const logout = await fetch(`${issuer}/logout`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
    t.equal(logout.status, 204)
    t.notOk(await verifier.isLive(token), 'the signature is as good as before: only the list says it')
    t.ok(await verifier.isLive(other), 'the other session goes on')
  })
}

t.test('neither kind of token passes for the other at a verifier that looks at typ', async t => {
  const { issuer } = await serve(t, { statusList: true })
  const response = await fetch(
    `${issuer}/token`, { method: 'POST', body: new URLSearchParams({ username: 'alice', password: PASSWORD }) }
  )
  const { access_token: token } = await response.json() as { access_token: string }
  const { keys } = createVerifier(issuer)
  const { payload } = await jwtVerify<{ status: { status_list: { uri: string } } }>(token, keys, { typ: 'at+jwt' })
  const list = await (await fetch(payload.status.status_list.uri)).text()
  await t.rejects(jwtVerify(list, keys, { typ: 'at+jwt' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'typ' })
  await t.rejects(
    jwtVerify(token, keys, { typ: 'statuslist+jwt' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'typ' }
  )
  await t.rejects(
    jwtVerify(list, keys, { issuer, audience: issuer }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' },
    'nor at one that does not'
  )
  await t.rejects(
    jwtVerify(token, keys, { subject: payload.status.status_list.uri }),
    { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'sub' }
  )
})
