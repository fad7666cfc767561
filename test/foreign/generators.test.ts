import { mkdir, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createClient as generateWithHeyApi } from '@hey-api/openapi-ts'
import { generate as generateWithCodegen } from 'openapi-typescript-codegen'
import { generate as generateWithOrval } from 'orval'
import t from 'tap'
import ts from 'typescript'
import { build, PASSWORD } from '../helper.js'

// Clients that others generate from openapi.json compile, and speak with the service. Their output stays inside the
// project, where it finds what it imports.

const root = fileURLToPath(new URL('../../../', import.meta.url))
const folder = join(root, '.tap', 'generated')

/** What each is made to do: written as a user of each would. */
const PROGRAMS = {
  'hey-api': `
    import { createToken, readOwnUser, refresh, revokeToken } from './hey-api/index.js'
    import { client } from './hey-api/client.gen.js'

    export async function run (baseUrl: string, password: string): Promise<string[]> {
      client.setConfig({ baseUrl })
      const token = await createToken({ body: { grant_type: 'password', username: 'alice', password, scope: 'items:read' } })
      if (token.data?.refresh_token === undefined) throw new Error(token.error?.error_description ?? 'no tokens')
      const me = await readOwnUser({ auth: token.data.access_token })
      const next = await refresh({ body: { refresh_token: token.data.refresh_token } })
      if (next.data === undefined || !('access_token' in next.data)) throw new Error('no tokens')
      await revokeToken({ body: { token: next.data.access_token } })
      const after = await readOwnUser({ auth: next.data.access_token })
      return [token.data.scope, me.data?.username ?? '', after.error?.code ?? '']
    }`,
  codegen: `
    import { ApiError, BrowserService, OpenAPI, TokensService, UsersService } from './codegen/index.js'

    export async function run (baseUrl: string, password: string): Promise<string[]> {
      OpenAPI.BASE = baseUrl
      const token = await TokensService.createToken({ requestBody: { grant_type: 'password', username: 'alice', password, scope: 'items:read' } })
      OpenAPI.TOKEN = token.access_token
      const me = await UsersService.readOwnUser()
      OpenAPI.TOKEN = undefined
      const next = await BrowserService.refresh({ requestBody: { refresh_token: token.refresh_token } })
      if (!('access_token' in next)) throw new Error('no tokens')
      await TokensService.revokeToken({ requestBody: { token: next.access_token } })
      OpenAPI.TOKEN = next.access_token
      const after = await UsersService.readOwnUser().catch((error: unknown) => error instanceof ApiError ? error.body.code : error)
      return [token.scope, me.username, after]
    }`,
  orval: `
    import { createToken, readOwnUser, refresh, revokeToken } from './orval/api.js'

    const withToken = (token: string) => ({ headers: { authorization: 'Bearer ' + token } })

    export async function run (_baseUrl: string, password: string): Promise<string[]> {
      const token = await createToken({ grant_type: 'password', username: 'alice', password, scope: 'items:read' })
      if (token.status !== 200 || token.data.refresh_token === undefined) throw new Error('no tokens')
      const me = await readOwnUser(withToken(token.data.access_token))
      const next = await refresh({ refresh_token: token.data.refresh_token })
      if (next.status !== 200 || !('access_token' in next.data)) throw new Error('no tokens')
      await revokeToken({ token: next.data.access_token })
      const after = await readOwnUser(withToken(next.data.access_token))
      return [token.data.scope, me.status === 200 ? me.data.username : '', after.status === 401 ? after.data.code : '']
    }`
}

/** Compiles as strictly as a user might, and says what is wrong. */
function compile (files: string[]): string[] {
  const program = ts.createProgram(files, {
    strict: true,
    exactOptionalPropertyTypes: false,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
    outDir: join(folder, 'out'),
    rootDir: folder
  })
  const { diagnostics } = program.emit()
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map((
    { messageText }
  ) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

t.test('clients of other generators compile, log in, call, refresh and revoke', async t => {
  const { app } = await build(t)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`

  await rm(folder, { recursive: true, force: true })
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await generateWithHeyApi({
    input: join(root, 'openapi.json'),
    output: { path: join(folder, 'hey-api'), importFileExtension: '.js' },
    logs: { level: 'silent' },
    plugins: ['@hey-api/client-fetch', '@hey-api/typescript', '@hey-api/sdk']
  })
  await generateWithOrval({
    input: { target: join(root, 'openapi.json') },
    output: { target: join(folder, 'orval', 'api.ts'), client: 'fetch', mode: 'single', baseUrl: url }
  }, root, { logLevel: 'silent' } as never)
  await generateWithCodegen({
    input: join(root, 'openapi.json'), output: join(folder, 'codegen'), httpClient: 'fetch', useOptions: true
  })
  // Its imports have no extensions, so the files are CommonJS.
  for (const place of ['codegen', join('out', 'codegen')]) {
    await mkdir(join(folder, place), { recursive: true })
    await writeFile(join(folder, place, 'package.json'), '{"type":"commonjs"}')
  }
  for (const [name, program] of Object.entries(PROGRAMS)) await writeFile(join(folder, `${name}-program.ts`), program)

  t.strictSame(compile(Object.keys(PROGRAMS).map(name => join(folder, `${name}-program.ts`))), [])
  for (const name of Object.keys(PROGRAMS)) {
    const { run } = await import(
      pathToFileURL(join(folder, 'out', `${name}-program.js`)).href
    ) as { run (url: string, password: string): Promise<string[]> }
    t.strictSame(await run(url, PASSWORD), ['items:read', 'alice', 'token_revoked'], name)
  }
})
