// Tokens in cookies, and two pages to try them with: log in, call, refresh in two tabs at once, log out. It listens on
// ports 3000 and 3001:
//
//   node dist/examples/browser/server.js

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import cors from '@fastify/cors'
import formbody from '@fastify/formbody'
import { build as bundle } from 'esbuild'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'

// Both ports serve the same page. Another port is another origin of the same site, so browsers send the cookies with
// its requests. The options `corsOrigins` and `trustedOrigins` allow this origin to use them. 127.0.0.1 is another
// site.

// New at each start, because attackers try the passwords that examples publish.
export const PASSWORD = randomBytes(12).toString('base64url')

/** The pages are read from the sources, because they are not compiled. */
const FOLDER = new URL('../../../examples/browser/', import.meta.url)

const PAGES = [
  { url: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/style.css', file: 'style.css', type: 'text/css; charset=utf-8' },
  { url: '/page.js', file: 'page.js', type: 'text/javascript; charset=utf-8' },
  { url: '/attack.html', file: 'attack.html', type: 'text/html; charset=utf-8' }
]

/** Bundles the client into one file for the page. In your project, use the bundler that builds the rest of the page. */
export async function bundleClient (): Promise<string> {
  const { outputFiles } = await bundle({
    entryPoints: [fileURLToPath(import.meta.resolve('fastify-latchkey/client'))],
    bundle: true,
    minify: true,
    format: 'esm',
    write: false
  })
  return outputFiles[0]?.text ?? ''
}

/** Serves the pages. `api` returns the origin of the API; '' is the origin of the page itself. */
async function servePages (app: FastifyInstance, api: () => string): Promise<void> {
  const client = await bundleClient()
  app.get('/client.js', async (_request, reply) => reply.type('text/javascript; charset=utf-8').send(client))
  for (const { url, file, type } of PAGES) {
    const text = await readFile(new URL(file, FOLDER), 'utf8')
    app.get(url, async (_request, reply) => {
      // Only scripts and styles from files apply, and they can send nothing elsewhere. The attacker's page has no
      // policy.
      if (url === '/') {
        reply.header('content-security-policy', "default-src 'none'; script-src 'self'; " +
          `style-src 'self'; connect-src 'self' ${api()}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`)
      }
      return reply.type(type).send(text.replaceAll('{{api}}', api()))
    })
  }
}

/**
 * Builds the app: Latchkey, the app's own resource, and the pages. `other` is another origin that may use the cookies.
 */
export async function build (other: string, options: LatchkeyOptions = {}): Promise<FastifyInstance> {
  const app = fastify()
  await app.register(latchkey, {
    issuer: 'http://localhost:3000',
    database: ':memory:',
    prefix: '/auth',
    corsOrigins: [other],
    trustedOrigins: [other],
    ...options
  })
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: [] })

  await app.register(async function notes (scope) {
    // For the routes of this app. `corsOrigins` covers Latchkey's routes.
    await scope.register(cors, { origin: [other], credentials: true })
    await scope.register(formbody)
    const notesOf = new Map<string, string[]>()

    scope.get('/notes', { onRequest: app.authenticate }, async ({ user }) => notesOf.get(user.id) ?? [])

    // Accepts a form, which any site can make a browser send. The guard rejects a form that another site sends with our
    // cookies.
    scope.post<{ Body: { text: string } }>(
      '/notes',
      {
        onRequest: app.authenticate,
        schema: {
          body: { type: 'object', required: ['text'], properties: { text: { type: 'string', maxLength: 1_000 } } }
        }
      },
      async ({ user, body }, reply) => {
        notesOf.set(user.id, [...(notesOf.get(user.id) ?? []), body.text])
        return reply.code(201).send(notesOf.get(user.id))
      }
    )
  })

  await servePages(app, () => '')
  return app
}

/** Builds an app that serves the same pages at another origin than the API. */
export async function buildOther (api: () => string): Promise<FastifyInstance> {
  const app = fastify()
  await servePages(app, api)
  return app
}

/**
 * Listens, and returns the origin with the host `localhost`. Browsers trust that name, so Secure cookies work without
 * TLS.
 */
export async function listen (app: FastifyInstance, port: number): Promise<string> {
  await app.listen({ host: '127.0.0.1', port })
  return `http://localhost:${(app.server.address() as AddressInfo).port}`
}

if (process.argv[1] === import.meta.filename) {
  const other = await listen(await buildOther(() => 'http://localhost:3000'), 3001)
  const own = await listen(await build(other), 3000)
  console.log(`Log in as alice with the password ${PASSWORD}, in as many tabs as you like:

  ${own}                     the page
  ${other}                     the same page at another origin, which is trusted
  ${other.replace('localhost', '127.0.0.1')}/attack.html         a page of another site, which is not trusted`)
}
