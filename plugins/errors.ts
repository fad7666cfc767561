import { STATUS_CODES } from 'node:http'
import fp from 'fastify-plugin'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BEARER, errorHeaders } from '../lib/http/credentials.js'
import { LatchkeyError } from '../lib/errors.js'
import type { Settings } from '../lib/options/options.js'
import { PasswordQueueFullError } from '../lib/passwords/pool.js'
import { EXPECTED } from '../schemas/common.js'
import { noteStatus } from './adapters/challenge.js'
import { createFailureLog } from './adapters/failure-log.js'
import type { FailureLog } from './adapters/failure-log.js'
import { kSettings } from './settings.js'
import { describeError, oauthErrorOf, oauthMessageOf, oauthStatusOf, problemOf } from '../schemas/errors.js'
import type { ErrorCode } from '../schemas/errors.js'

const kFailures = Symbol('latchkey.failures')

declare module 'fastify' {
  interface FastifyInstance {
    [kFailures]: FailureLog
  }
}

/** Every request gets one of these while the database cannot be reached. */
const OUTAGES: ReadonlySet<string> = new Set<ErrorCode>(['store_unavailable', 'revocation_unknown'])

/**
 * Sends every error of our routes as `application/problem+json` (RFC 9457), except at the OAuth endpoints: see
 * `sendOAuthError`.
 */
export default fp(async function latchkeyErrors (app) {
  const failures = createFailureLog(app.log)
  app.decorate(kFailures, failures)
  app.addHook('onClose', async () => failures.close())
  if (app[kSettings].errors === 'app') passErrorsOn(app)
  else app.setErrorHandler(sendProblem)
  // Our responses are for one user or one moment. A route whose response a cache may store overrides this.
  app.addHook('onRequest', function forbidCaching (_request, reply, done) {
    reply.header('cache-control', 'no-store')
    done()
  })
}, { name: 'latchkey-errors', fastify: '5.x', dependencies: ['latchkey-settings'] })

/**
 * Passes the errors of our routes to the host's error handler. It gets a LatchkeyError, and the reply already has the
 * status and the headers. The host chooses the body, so the OpenAPI document does not describe it.
 */
function passErrorsOn (app: FastifyInstance): void {
  app.setErrorHandler(function passOn (cause, request, reply) {
    const error = toPresentable(cause, request)
    setHeaders(error, reply)
    reply.code(error.statusCode)
    // Fastify calls the error handler of the scope around this one.
    throw error instanceof Error ? error : cause
  })
  app.addHook('onRoute', route => {
    if (route.errorHandler !== undefined) return
    const responses = Object.entries(route.schema?.response ?? {}) as Array<[status: string, response: object]>
    const response = Object.fromEntries(responses.map(([status, described]) => {
      return [status, Number(status) < 400 ? described : withoutBody(described)]
    }))
    route.schema = { ...route.schema, response }
  })
}

/**
 * With an empty `content`, Fastify compiles no serializer, which would drop members of the body. With `type: 'null'`,
 * @fastify/swagger shows no body.
 */
function withoutBody (response: object): object {
  return { ...response, type: 'null', content: {} }
}

/** What a client may learn about an error. */
type Presentable = Pick<LatchkeyError, 'statusCode' | 'oauth' | 'message' | 'retryAfter'> & { code: string }

/** Sends an error as a problem document. */
export function sendProblem (cause: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const error = toPresentable(cause, request)
  setHeaders(error, reply)
  reply.code(error.statusCode).header('content-type', 'application/problem+json; charset=utf-8').send(problemOf(error))
}

/** The `errorHandler` of the OAuth endpoints. RFC 6749 section 5.2 specifies the format of their errors. */
export function sendOAuthError (cause: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const error = toPresentable(cause, request)
  const status = oauthStatusOf(error)
  setHeaders(error, reply, status)
  if (error.code === 'invalid_client') reply.header('www-authenticate', 'Basic realm="latchkey"')
  reply.headers({ pragma: 'no-cache', 'content-type': 'application/json; charset=utf-8' })
  reply.code(status).send(oauthErrorOf({ ...error, message: oauthMessageOf(error) }))
}

/** @param status - the status of the response. Default: that of the error. */
function setHeaders (error: Presentable, reply: FastifyReply, status = error.statusCode): void {
  // The route may have allowed caching before it failed.
  reply.header('cache-control', 'no-store')
  // A request that Fastify could not route belongs to no instance with settings.
  const settings: Partial<Settings> = reply.request.server[kSettings] ?? {}
  for (const [name, value] of Object.entries(errorHeaders(error, settings.scheme ?? BEARER, status))) {
    // The guards have set their own challenge.
    if (!reply.hasHeader(name)) reply.header(name, value)
  }
  noteStatus(reply, status)
}

function toPresentable (cause: unknown, request: FastifyRequest): Presentable {
  const error = translate(cause)
  if (error.statusCode < 500) return error
  const reason = reasonOf(error instanceof LatchkeyError ? error : cause)
  // The client gets the sentence of the table, and the log gets the reason. A client can cause an expected refusal as
  // often as it likes, so the log line of the request is enough for it.
  const logQuietly = (): void => request.log.debug({ code: error.code, reason: String(reason) }, error.message)
  const logLoudly = (): void => request.log.error({ err: reason }, error.message)
  if (isExpected(error)) logQuietly()
  else if (OUTAGES.has(error.code)) noteOutage(error, request, { logQuietly, logLoudly })
  else logLoudly()
  return error
}

/** Logs the first request that an outage fails, and later how many others it has failed. */
function noteOutage (
  { code }: Presentable,
  { server }: FastifyRequest,
  { logQuietly, logLoudly }: Record<'logQuietly' | 'logLoudly', () => void>
): void {
  logQuietly()
  server[kFailures].note(`requests get 503 ${code}`, logLoudly)
}

/** Returns the causes of our own errors, because the texts of those errors are known. */
function reasonOf (error: unknown): unknown {
  return error instanceof LatchkeyError && error.cause !== undefined ? reasonOf(error.cause) : error
}

function isExpected (error: Presentable): boolean {
  return error instanceof LatchkeyError && describeError(error.code).expected === true
}

function translate (cause: unknown): Presentable {
  if (cause instanceof LatchkeyError) return cause
  if (cause instanceof PasswordQueueFullError) return overloaded(cause)
  const { validation, validationContext, statusCode, code, message } = (cause ?? {}) as Partial<FastifyError>
  if (validation?.[0] !== undefined) {
    return new LatchkeyError('invalid_request', { message: describeViolation(validation[0], validationContext) })
  }
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode > 499) {
    return new LatchkeyError('internal_error', { cause })
  }
  if (statusCode === 413) return new LatchkeyError('payload_too_large')
  if (statusCode === 415) return new LatchkeyError('unsupported_media_type')
  if (statusCode === 429) return new LatchkeyError('too_many_requests')
  // The parser's message may quote the body.
  if (code?.startsWith('FST_ERR_CTP_')) {
    return new LatchkeyError('invalid_request', { message: 'The request body cannot be read.' })
  }
  // A hook of the host that refuses requests to our routes does so in its own words.
  return {
    statusCode,
    code: code ?? 'refused',
    oauth: 'invalid_request',
    message: message ?? STATUS_CODES[statusCode] ?? '',
    retryAfter: undefined
  }
}

/**
 * Returns an error of our services as one that the host can send. Anything unexpected becomes a 500 without details,
 * because Fastify's own error handler sends the message.
 */
export function toLatchkeyError (cause: unknown): LatchkeyError {
  if (cause instanceof LatchkeyError) return cause
  return cause instanceof PasswordQueueFullError ? overloaded(cause) : new LatchkeyError('internal_error', { cause })
}

function overloaded (cause: PasswordQueueFullError): LatchkeyError {
  return new LatchkeyError('overloaded', { cause, retryAfter: 2 })
}

/** Describes a violation in one sentence. It names the field and never its value, which may be a password. */
export function describeViolation (
  { instancePath, keyword, params, message }: NonNullable<FastifyError['validation']>[number],
  context = 'body'
): string {
  const field = instancePath.slice(1).replaceAll('/', '.')
  if (keyword === 'required') return `The ${context} lacks the member '${params.missingProperty}'.`
  if (keyword === 'additionalProperties') {
    return `The ${context} has an unknown member '${String(params.additionalProperty).slice(0, 64)}'.`
  }
  const expected = EXPECTED[String(params.pattern ?? params.format)]
  if (expected !== undefined) return `'${field}' in the ${context} must be ${expected}.`
  // The pattern itself means nothing to most people.
  if (keyword === 'pattern') return `'${field}' in the ${context} has characters or a format that is not allowed.`
  return field === '' ? `The ${context} ${message}.` : `'${field}' in the ${context} ${message}.`
}
