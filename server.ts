import { fastify, LogController } from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import latchkey from './app.js'
import { LatchkeyError } from './lib/errors.js'
import { LIMITS } from './lib/http/connection-limits.js'
import type { Limits } from './lib/http/connection-limits.js'
import { maskPath } from './lib/http/masked-path.js'
import { addressOf, createRangeTest } from './lib/identity/network.js'
import { refuseConnection } from './plugins/adapters/client-errors.js'
import { sendProblem } from './plugins/errors.js'
import { LEAST_HEADERS } from './plugins/security-headers.js'
import { kStandalone } from './plugins/settings.js'
import { SERVICE_DEFAULTS } from './schemas/options.js'
import type { LatchkeyOptions, ServiceSettings } from './schemas/options.js'

/** Logs one line when a request is done, and none when it starts. */
class OneLinePerRequest extends LogController {
  override incomingRequest (): void {}

  override requestCompleted (error: Error | null | undefined, request: FastifyRequest, reply: FastifyReply): void {
    const line = { req: request, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 }
    // The connection broke during the response. Any client can cause that, so it is not logged as an error.
    const reason = error instanceof Error ? (error as NodeJS.ErrnoException).code ?? error.message : undefined
    request.log.info({ ...line, reason }, 'request')
  }
}

/**
 * People put tokens into paths and queries, and clients write any text into `X-Forwarded-For`, so none of that is
 * logged.
 */
function describeRequest ({ method, url, ip }: FastifyRequest) {
  return { method, path: maskPath(url), address: addressOf(ip) }
}

/** Receives the lines of the log, one call for each. */
export interface LogOutput {
  write (line: string): void
}

/**
 * Builds the microservice: the plugin, with limits, logging and error handling around it. It does not listen yet.
 * @param options - the options of the plugin. They override `SERVICE_DEFAULTS`.
 * @param service - see `readServiceOptions`.
 * @param around.limits - tests set shorter ones, so that they need not wait.
 * @param around.log - receives the lines of the log, as JSON. Default: standard output.
 */
export async function buildServer (
  options: LatchkeyOptions,
  { trustProxy, logLevel }: ServiceSettings,
  { limits = LIMITS, log }: { limits?: Limits, log?: LogOutput } = {}
): Promise<FastifyInstance> {
  const app = fastify({
    logger: {
      level: logLevel,
      stream: log,
      // Headers are not logged. Should that change, their secrets still stay out of the log.
      redact: [
        'req.headers.authorization', 'req.headers.cookie', 'res.headers["set-cookie"]', '*.password', '*.token',
        '*.refresh_token', '*.access_token'
      ],
      serializers: { req: describeRequest }
    },
    logController: new OneLinePerRequest(),
    trustProxy: trustProxy.length === 0 ? false : createRangeTest(trustProxy),
    bodyLimit: limits.body,
    requestTimeout: limits.requestTimeout,
    keepAliveTimeout: limits.keepAliveTimeout,
    connectionTimeout: limits.connectionTimeout,
    http: {
      maxHeaderSize: limits.head,
      headersTimeout: limits.headersTimeout,
      connectionsCheckingInterval: limits.checkInterval
    },
    clientErrorHandler: refuseConnection,
    frameworkErrors (_error, request, reply) {
      sendProblem(
        new LatchkeyError('invalid_request', { message: 'The URL cannot be read.' }),
        request,
        reply.headers(LEAST_HEADERS)
      )
      request.log.info({ req: request, status: reply.statusCode }, 'request')
    }
  })
  limitHeaders(app, limits.headers)
  app.decorate(kStandalone, true)
  try {
    await app.register(latchkey, { ...SERVICE_DEFAULTS, ...options })
  } catch (error) {
    // Otherwise open handles keep the process alive, and a supervisor believes that the service runs.
    await app.close()
    throw error
  }
  return app
}

/**
 * Rejects requests with too many headers. Node.js silently drops the excess, which may include the header that matters.
 */
function limitHeaders (app: FastifyInstance, most: number): void {
  app.server.maxHeadersCount = most + 1
  app.addHook('onRequest', function refuseManyHeaders (request, reply, done) {
    if (request.raw.rawHeaders.length <= 2 * most) return done()
    reply.headers(LEAST_HEADERS).header('connection', 'close')
    done(new LatchkeyError('headers_too_large'))
  })
}
