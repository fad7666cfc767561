import { fastify, LogController } from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import latchkey from './app.js'
import { LatchkeyError } from './lib/errors.js'
import { sendProblem } from './plugins/errors.js'
import notFound from './plugins/not-found.js'
import type { LatchkeyOptions, ServiceOptions } from './schemas/options.js'

/** When a request is done, not also when it begins. */
class OneLinePerRequest extends LogController {
  override incomingRequest (): void {}

  override requestCompleted (error: Error | null | undefined, request: FastifyRequest, reply: FastifyReply): void {
    const line = { req: request, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 }
    if (error instanceof Error) request.log.error({ ...line, err: error }, 'request')
    else request.log.info(line, 'request')
  }
}

/**
 * The microservice: the plugin, and around it what only a service wants. Not listening yet.
 * @param options - the plugin's; `docs` is on unless it says otherwise.
 * @param service - see `readServiceOptions`.
 */
export async function buildServer (options: LatchkeyOptions, { trustProxy, logLevel }: Required<ServiceOptions>): Promise<FastifyInstance> {
  const app = fastify({
    logger: {
      level: logLevel,
      // Nothing logs headers; should somebody start to, the secrets in them stay out all the same.
      redact: ['req.headers.authorization', 'req.headers.cookie', 'res.headers["set-cookie"]', '*.password', '*.token', '*.refresh_token', '*.access_token'],
      // Without the query: it is no place for a token, but people put tokens there.
      serializers: { req: ({ method, url, ip }: FastifyRequest) => ({ method, path: url.split('?', 1)[0], address: ip }) }
    },
    logController: new OneLinePerRequest(),
    trustProxy: trustProxy.length === 0 ? false : trustProxy,
    bodyLimit: 16 * 1024,
    requestTimeout: 30_000,
    frameworkErrors: (_error, request, reply) => sendProblem(new LatchkeyError('invalid_request', { message: 'The URL cannot be read.' }), request, reply)
  })
  app.setErrorHandler(sendProblem)
  await app.register(notFound)
  await app.register(latchkey, { docs: true, ...options })
  return app
}
