import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import { logIn } from '../helper.js'
import { claimsOf, databaseFile, headerOf, mint, openSigningKey, SECRET } from '../routes/support.js'
import { generateKey } from '../verifier/support.js'
import { serve } from './support.js'

// The code of docs/verify-elsewhere.md, as it is there, with the keys of a real service.

t.setTimeout(120_000)

const AUDIENCE = 'https://items.example.com'
const ALGORITHMS = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const
const PAGE = join(import.meta.dirname, '..', '..', '..', 'docs', 'verify-elsewhere.md')

/** What a block exports: a function, an app of Fastify, Hono or Express, and perhaps what needs keys by hand. */
interface Exports {
  verify?: (token: string) => Promise<{ sub: string }>
  app?: FastifyInstance | (RequestListener & { request?: (url: string, init: object) => Promise<Response> })
  verifier?: { cacheJwks (jwks: object): void }
}

/** Where a library insists on https, which a service of a test does not have. */
const WITHOUT_HTTPS: Record<string, (code: string) => string> = {
  '@okta/jwt-verifier': code => code.replace('OktaJwtVerifier({', 'OktaJwtVerifier({ testing: { disableHttpsCheck: true },')
}

/** Returns the owner that the code finds in a token, or undefined if it refuses the token. */
type OwnerOf = (token: string) => Promise<string | undefined>

async function createOwnerOf (t: Test, { app, verify }: Exports): Promise<OwnerOf> {
  if (verify !== undefined) return async token => await verify(token).then(({ sub }) => sub, () => undefined)
  if (app === undefined) throw new Error('The block exports neither verify nor app')
  const send = await createSender(t, app)
  return async token => {
    const { status, body } = await send({ authorization: `Bearer ${token}` })
    if (status === 401) return undefined
    if (status !== 200) throw new Error(`${status} ${body}`)
    return (JSON.parse(body) as { owner: string }).owner
  }
}

type Sender = (headers: Record<string, string>) => Promise<{ status: number, body: string }>

async function createSender (t: Test, app: NonNullable<Exports['app']>): Promise<Sender> {
  const read = async (response: Response): ReturnType<Sender> => {
    return { status: response.status, body: await response.text() }
  }
  if ('inject' in app) {
    const host = app as FastifyInstance
    t.teardown(() => host.close())
    return async headers => {
      const { statusCode, body } = await host.inject({ url: '/items', headers })
      return { status: statusCode, body }
    }
  }
  const { request } = app
  if (typeof request === 'function') return async headers => await read(await request('/items', { headers }))
  const server = createServer(app)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { server.close() })
  const { port } = server.address() as AddressInfo
  return async headers => await read(await fetch(`http://127.0.0.1:${port}/items`, { headers }))
}

const page = await readFile(PAGE, 'utf8')
const blocks = [...page.matchAll(/^### (.+)\n\n```js\n([^]*?)```$/gm)].map(([, name = '', code = '']) => ({ name, code }))
/** What the row of each block says. */
const rows = new Map([...page.matchAll(/^\| \[(.+?)\]\(#[^|]*\| ([^|]+) \| ([^|]+) \|/gm)].map(row => {
  const [, name = '', algorithms = '', typ] = row
  return [name, {
    algorithms: algorithms === 'all' ? ALGORITHMS : algorithms.split(', '),
    checksTyp: typ !== 'ignored'
  }]
}))
const folder = join(import.meta.dirname, 'verify-elsewhere')
await mkdir(folder, { recursive: true })
t.teardown(() => rm(folder, { recursive: true, force: true }))

t.test('the table has a row for each block', async t => {
  t.ok(blocks.length >= 9, `${blocks.length} blocks`)
  t.strictSame([...rows.keys()], blocks.map(({ name }) => name))
})

for (const algorithm of ALGORITHMS) {
  t.test(algorithm, async t => {
    const database = databaseFile(t)
    const { app, issuer } = await serve(t, { algorithm, audience: AUDIENCE, database, secret: SECRET })
    const { access_token: token, refresh_token: refreshToken } = await logIn(app)
    const [claims, header] = [claimsOf(token), headerOf(token)]
    const { key } = openSigningKey(database)
    const stranger = await generateKey(algorithm)
    const now = Math.floor(Date.now() / 1000)
    const sign = (changes: object, typ = header.typ): string =>
      mint(algorithm, key, { ...header, typ }, { ...claims, ...changes })
    const jwks = await (await fetch(`${issuer}/.well-known/jwks.json`)).json() as object
    const good: Array<[name: string, token: string]> = [['issued', token], ['signed by the test', sign({})]]
    const bad: Array<[name: string, token: string]> = [
      ['expired', sign({ iat: now - 7_200, exp: now - 3_600 })],
      ['for another audience', sign({ aud: 'https://other.example.com' })],
      ['like a status list', sign({ aud: undefined }, 'statuslist+jwt')],
      ['of another issuer', sign({ iss: 'https://evil.example.com' })],
      ['signed by another key', mint(algorithm, stranger.private, header, claims)],
      ['a refresh token', refreshToken]
    ]

    for (const [index, { name, code }] of blocks.entries()) {
      const { algorithms = [], checksTyp } = rows.get(name) ?? {}
      const knows = (algorithms as readonly string[]).includes(algorithm)
      const file = join(folder, `${index}-${algorithm}.mjs`)
      const prepared = (WITHOUT_HTTPS[name] ?? (text => text))(code)
      await writeFile(file, prepared.replaceAll('https://auth.example.com', issuer).replaceAll("'RS256'", `'${algorithm}'`))
      const exports = await import(pathToFileURL(file).href).catch((error: unknown) => {
        // Some libraries refuse an algorithm at once.
        if (knows) throw error
      }) as Exports | undefined
      if (exports === undefined) continue
      exports.verifier?.cacheJwks(jwks)
      const ownerOf = await createOwnerOf(t, exports)
      for (const [what, text] of good) t.equal(await ownerOf(text), knows ? claims.sub : undefined, `${name}: ${what}`)
      const isOtherFine = await ownerOf(sign({}, 'JWT')) !== undefined
      t.equal(isOtherFine, knows && checksTyp === false, `${name}: another typ`)
      for (const [what, text] of bad) t.equal(await ownerOf(text), undefined, `${name}: ${what}`)
    }
  })
}
