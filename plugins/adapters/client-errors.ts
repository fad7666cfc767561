import { STATUS_CODES } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionError, FastifyInstance } from 'fastify'
import { LatchkeyError } from '../../lib/errors.js'
import { addressOf } from '../../lib/identity/network.js'
import { problemOf } from '../../schemas/errors.js'
import { LEAST_HEADERS } from '../security-headers.js'

/**
 * The `clientErrorHandler` of the service. A request that Node.js cannot read, or no longer waits for, never reaches a
 * route. This sends a response in our format if HTTP allows one, cuts the connection off, and logs one line. The line
 * omits the bytes, because they may hold a token.
 */
export function refuseConnection (this: FastifyInstance, cause: ConnectionError, socket: Socket): void {
  if (cause.code === 'ECONNRESET' || socket.destroyed) return
  const error = translate(cause)
  const isAnswered = mayAnswer(socket)
  const status = isAnswered ? error.statusCode : undefined
  this.log.info({ address: addressOf(socket.remoteAddress), reason: cause.code, status }, 'connection cut off')
  if (isAnswered) socket.write(format(error))
  socket.destroy()
}

function translate ({ code }: ConnectionError): LatchkeyError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new LatchkeyError('request_timeout')
  if (code === 'HPE_HEADER_OVERFLOW') return new LatchkeyError('headers_too_large')
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return new LatchkeyError('payload_too_large')
  return new LatchkeyError('invalid_request', { message: 'The request cannot be read.' })
}

/**
 * Where Node.js keeps, for a connection, the response whose turn it is and the request that it reads. Its own handler
 * looks at the former.
 */
interface HttpSocket extends Socket {
  _httpMessage?: ServerResponse | null
  parser?: { incoming?: IncomingMessage | null } | null
}

/**
 * Whether the next response on a connection is the one to the request at fault. If an earlier request is still
 * unanswered, or if this response has begun or ended, the client would take ours for the response to another request,
 * or for a part of one.
 */
function mayAnswer (socket: Socket): boolean {
  const { _httpMessage: response, parser } = socket as HttpSocket
  const isAmidBody = parser?.incoming?.complete === false
  if (!socket.writable) return false
  return isAmidBody
    ? response != null && response.req === parser.incoming && !response.headersSent
    : response == null
}

function format (error: LatchkeyError): string {
  const body = JSON.stringify(problemOf(error))
  const headers = {
    ...LEAST_HEADERS,
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    connection: 'close'
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${error.statusCode} ${STATUS_CODES[error.statusCode]}\r\n${lines.join('')}\r\n${body}`
}
