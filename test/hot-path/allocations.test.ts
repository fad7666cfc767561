import t from 'tap'
import { measureAllocations } from './allocations.js'
import { buildListeningHost, carriersOf, ROUTE } from './host.js'
import type { ListeningHost } from './host.js'

const REQUESTS = 8

/**
 * Bytes for each request over those of the route without a guard: twice what it was, of code that is not optimized,
 * when this was written.
 */
const MOST = { header: 3_200, cookie: 3_700 }

async function buildHost (t: Parameters<typeof buildListeningHost>[0]): Promise<ListeningHost> {
  return await buildListeningHost(t, app => {
    app.get('/hungry', { ...ROUTE, preHandler: async () => { Array.from({ length: 500 }, (_, index) => index) } })
  })
}

/** How many bytes more a request to this path allocates than one to the route without a guard. */
async function measureExcess (send: ListeningHost['send'], path: string, carrier: string): Promise<number> {
  const works = ['/bare', path].map(path => async function work () {
    for (let sent = 0; sent < REQUESTS; sent++) await send(path, carrier)
  })
  const [bare, other] = await measureAllocations(works) as [number, number]
  return (other - bare) / REQUESTS
}

t.test('what a guard allocates is little', async t => {
  const { send, token } = await buildHost(t)
  for (const name of ['header', 'cookie'] as const) {
    const bytes = await measureExcess(send, '/guarded', carriersOf(token)[name])
    t.ok(bytes > 0 && bytes < MOST[name], `${name}: ${bytes} bytes for a request`)
  }
})

t.test('a few thousand bytes more are seen', async t => {
  const { send, token } = await buildHost(t)
  const bytes = await measureExcess(send, '/hungry', carriersOf(token).header)
  t.ok(bytes > MOST.cookie, `${bytes} bytes for a request`)
})
