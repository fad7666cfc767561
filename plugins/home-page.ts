import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { asksFor } from '../lib/http/accept.js'
import { ICON } from './adapters/docs-theme.js'
import { varyBy } from './adapters/vary.js'
import { OWN_PUBLIC } from './guards/public-routes.js'

const DESCRIPTION = 'This service logs users in, and issues, checks and revokes access tokens.'

const STYLES = `
:root { color-scheme: light dark; font: 1.1rem/1.6 system-ui, sans-serif; accent-color: #0d9488 }
body { margin: 0; min-height: 100vh; display: grid; place-items: center }
main { max-width: 34rem; padding: 2rem }
svg { width: 4rem }
h1 { margin: 0 }
a { color: light-dark(#0f766e, #2dd4bf) }
`

/** Only these styles and the icon are allowed. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLES).digest('base64')}'; ` +
  "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/**
 * Serves a short description of the service at its root, with links to its documentation. Browsers get a page, and
 * programs get JSON. Only the service has it. In an app, `/` belongs to the app.
 * @param prefix - of the routes. The page is served there too, because a proxy may pass on only these paths.
 */
export function serveHomePage (app: FastifyInstance, { prefix, docs }: { prefix: string, docs: boolean }): void {
  const links = {
    ...(docs ? { documentation: `${prefix}/docs`, openapi: `${prefix}/openapi.json` } : {}),
    metadata: `${prefix}/.well-known/oauth-authorization-server`
  }
  const page = makePage(links)
  for (const url of new Set(['/', prefix === '' ? '/' : prefix])) {
    app.get(url, { schema: { hide: true }, config: OWN_PUBLIC }, async function readHomePage (request, reply) {
      varyBy(reply, 'Accept')
      if (!asksFor(request.headers.accept, 'text/html')) return { name: 'Latchkey', description: DESCRIPTION, ...links }
      return reply.header('content-security-policy', POLICY).type('text/html; charset=utf-8').send(page)
    })
  }
}

const TITLES: Record<string, string> = {
  documentation: 'Read the documentation and try the API',
  openapi: 'Generate a client from openapi.json',
  metadata: 'List the endpoints of this server'
}

/** The prefix consists of characters that have no meaning in HTML. */
function makePage (links: object): string {
  const items = Object.entries(links).map(([name, url]) => `<li><a href="${url}">${TITLES[name]}</a></li>`)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Latchkey</title>
<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(ICON)}">
<style>${STYLES}</style>
<main>
${ICON}
<h1>Latchkey</h1>
<p>${DESCRIPTION}</p>
<ul>
${items.join('\n')}
</ul>
</main>
</html>
`
}
