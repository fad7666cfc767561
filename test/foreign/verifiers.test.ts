import { createRemoteJWKSet, jwtVerify } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import { JwksClient } from 'jwks-rsa'
import * as oauth from 'oauth4webapi'
import t from 'tap'
import { PASSWORD } from '../helper.js'
import type { Algorithm } from '../../schemas/algorithms.js'
import { serve } from './support.js'

// Verifiers that others wrote, with the keys that we publish. HS256 has no public key, so nobody but us verifies it.

/** jsonwebtoken knows no EdDSA. */
const ALGORITHMS: Array<[algorithm: Algorithm, knowsIt: boolean]> = [
  ['ES256', true], ['RS256', true], ['PS256', true], ['EdDSA', false]
]

for (const [algorithm, jsonwebtokenKnowsIt] of ALGORITHMS) {
  t.test(`${algorithm} is verified by jose, oauth4webapi and jsonwebtoken with jwks-rsa, and only as it was signed`, async t => {
    const { issuer } = await serve(t, { algorithm })
    const response = await fetch(
      `${issuer}/token`, { method: 'POST', body: new URLSearchParams({ username: 'alice', password: PASSWORD }) }
    )
    const { access_token: token } = await response.json() as { access_token: string }
    const [header = '', payload = '', signature = ''] = token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
    const forged = [
      header, Buffer.from(JSON.stringify({ ...claims, scope: 'admin users:write' })).toString('base64url'), signature
    ].join('.')

    const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`))
    const expected = { issuer, audience: issuer, typ: 'at+jwt', algorithms: [algorithm] }
    t.match((await jwtVerify(token, keys, expected)).payload, claims, 'jose')
    await t.rejects(jwtVerify(forged, keys, expected), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
    await t.rejects(
      jwtVerify(token, keys, { ...expected, audience: 'https://other.example' }),
      { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' }
    )

    const as = { issuer, jwks_uri: `${issuer}/.well-known/jwks.json` }
    const request = (text: string): Request => new Request(
      `${issuer}/resource`, { headers: { authorization: `Bearer ${text}` } }
    )
    t.match(
      await oauth.validateJwtAccessToken(as, request(token), issuer, { [oauth.allowInsecureRequests]: true }), claims,
      'oauth4webapi: RFC 9068 section 4'
    )
    await t.rejects(oauth.validateJwtAccessToken(as, request(forged), issuer, { [oauth.allowInsecureRequests]: true }))

    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }
    const key = (await new JwksClient({ jwksUri: `${issuer}/.well-known/jwks.json` }).getSigningKey(kid)).getPublicKey()
    const verify = (text: string): unknown => jsonwebtoken.verify(
      text, key, { issuer, audience: issuer, algorithms: [algorithm as jsonwebtoken.Algorithm] }
    )
    if (jsonwebtokenKnowsIt) {
      t.match(verify(token), claims, 'jsonwebtoken')
      t.throws(() => verify(forged))
    } else {
      t.throws(() => verify(token), 'jsonwebtoken does not know it')
    }
  })
}

t.test('HS256 publishes no key: nobody else can verify, or forge, what it signs', async t => {
  const { issuer } = await serve(t, { algorithm: 'HS256' })
  t.strictSame(await (await fetch(`${issuer}/.well-known/jwks.json`)).json(), { keys: [] })
})
