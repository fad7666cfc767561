import t from 'tap'
import { createExchange, isGuess } from '../../../lib/grants/exchange.js'
import type { Client } from '../../../lib/clients/clients.js'
import { createServerMetadata } from '../../../lib/http/server-metadata.js'
import type { ErrorCode } from '../../../schemas/errors.js'
import { CLIENT_GRANTS, describeGrantType, GRANT_TYPES } from '../../../schemas/grants.js'
import type { ClientGrant } from '../../../schemas/grants.js'
import { ClientRequest } from '../../../schemas/clients.js'
import { TokenRequest } from '../../../schemas/tokens.js'
import { run } from '../../commands/support.js'

const SENDER = { address: '203.0.113.9', userAgent: undefined, refreshToken: undefined }
const GRANT = {
  user: { id: 'u', username: 'u', scopes: [] },
  sessionId: 's',
  clientId: 'c',
  scopes: [],
  claims: {},
  issuedAt: 0,
  refreshToken: 'r',
  refreshExpiresAt: 0
}

/** The exchange over services that only note their calls. */
function createServices () {
  const calls: unknown[][] = []
  const note = (name: string) => async (...parameters: unknown[]) => {
    calls.push([name, ...parameters])
    return GRANT
  }
  return { calls, logIn: note('logIn'), sessions: { refresh: note('refresh') }, clients: { issue: note('issue') } }
}

function clientFor (...grants: ClientGrant[]): Client {
  return { id: 'lkc_1', name: 'x', scopes: [], grants, isPublic: false, createdAt: 0, secretChangedAt: 0 }
}

t.test('each grant type is in the schema, the metadata and the grants of a client, and is served', async t => {
  const members = Object.keys(TokenRequest.properties)
  const metadata = createServerMetadata({ issuer: 'https://a', prefix: '', catalogue: {}, docs: false })
  const listed = metadata.grant_types_supported
  const registrable = (ClientRequest.properties.grants.items as { enum: string[] }).enum
  const help = (await run(t.testdir(), ['clients', 'add', '--help'])).stdout
  t.ok(GRANT_TYPES.length >= 3)
  for (const name of GRANT_TYPES) {
    const { parameters, isListed, allowedBy, needsClient } = describeGrantType(name)
    for (const member of Object.keys(parameters.properties)) t.ok(members.includes(member), `${name}: ${member}`)
    t.equal(listed.includes(name), isListed, name)
    t.ok(registrable.includes(allowedBy), name)
    t.ok(help.includes(allowedBy), `the help of the command line names ${allowedBy}`)

    const { calls, ...services } = createServices()
    const values = Object.fromEntries(Object.keys(parameters.properties).map(member => [member, 'x']))
    const client = needsClient ? clientFor(...CLIENT_GRANTS) : undefined
    const exchange = createExchange(services, [])
    t.equal(await exchange({ grant_type: name, ...values }, { client, sender: SENDER }), GRANT)
    t.equal(calls.length, 1, `${name} is served`)
  }
  t.strictSame([...registrable], [...CLIENT_GRANTS])
  t.strictSame(listed, [...listed].sort())
})

t.test('a body is refused by the first rule that it breaks', async t => {
  const table: Array<[body: object, client: Client | undefined, code: ErrorCode, message?: RegExp]> = [
    [{}, undefined, 'invalid_request', /'grant_type'/],
    [{ refresh_token: 'x' }, undefined, 'invalid_request', /'grant_type'/],
    [{ grant_type: '' }, undefined, 'unsupported_grant_type'],
    [{ grant_type: 'toString' }, undefined, 'unsupported_grant_type'],
    [{ grant_type: 'password' }, clientFor('client_credentials'), 'unauthorized_client'],
    [{ grant_type: 'password' }, clientFor('password'), 'invalid_request', /'username'/],
    [{ grant_type: 'password', username: 'x' }, undefined, 'invalid_request', /'password'/],
    [{ username: 'x' }, undefined, 'invalid_request', /'password'/],
    [{ grant_type: 'refresh_token' }, clientFor('client_credentials'), 'unauthorized_client'],
    [{ grant_type: 'refresh_token' }, undefined, 'invalid_request', /'refresh_token'/],
    [{ grant_type: 'client_credentials' }, undefined, 'invalid_client'],
    [{ grant_type: 'client_credentials' }, clientFor('password'), 'unauthorized_client']
  ]
  const { calls, ...services } = createServices()
  const exchange = createExchange(services, [])
  for (const [body, client, code, message] of table) {
    const request = exchange({ ...body }, { client, sender: SENDER })
    await t.rejects(request, { code, message: message ?? /./ }, JSON.stringify(body))
  }
  for (const body of [{ grant_type: 'password' }, { username: 'x', password: 'x' }]) {
    const switchedOff = createExchange(services, ['password'])
    await t.rejects(switchedOff(body, { client: undefined, sender: SENDER }), { code: 'unsupported_grant_type' })
  }
  t.strictSame(calls, [])
})

t.test('the rate limit counts what can be guessed, and what names no grant type that we know', async t => {
  const counted = [{}, { username: 'x' }, { grant_type: 'password' }, { grant_type: 'unknown' }, { refresh_token: 'x' }]
  for (const body of counted) {
    t.ok(isGuess(body), JSON.stringify(body))
  }
  for (const name of ['refresh_token', 'client_credentials']) {
    t.notOk(
      isGuess({ grant_type: name, username: 'x' }), name
    )
  }
})
