import type { LatchkeyOptions } from '../schemas/options.js'

/** Returns the OpenAPI document of a service with these options, without opening its database. */
export async function readDocument (options: LatchkeyOptions): Promise<object> {
  const [{ fastify }, { default: latchkey }, { SERVICE_DEFAULTS }] = await Promise.all([
    import('fastify'),
    import('../app.js'),
    import('../schemas/options.js')
  ])
  const app = fastify({ logger: false })
  try {
    await app.register(latchkey, {
      ...SERVICE_DEFAULTS,
      ...options,
      database: ':memory:',
      docs: true,
      // Creating a key in the in-memory database is not an event of the service.
      onEvent: undefined
    })
    return (await app.inject(`${options.prefix ?? ''}/openapi.json`)).json<object>()
  } finally {
    await app.close()
  }
}
