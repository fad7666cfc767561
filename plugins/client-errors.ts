import { STATUS_CODES } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionError, FastifyInstance } from 'fastify'
import { LatchkeyError } from '../lib/errors.js'
import { addressOf } from '../lib/identity/network.js'
import { problemOf } from '../schemas/errors.js'
import { LEAST_HEADERS } from './security-headers.js'

/**
 * The `clientErrorHandler` of the service: what Node.js cannot read, or does not wait for any longer, never reaches a route. It is
 * answered in our form where HTTP allows an answer, cut off, and logged in one line, without the bytes: they may hold a token.
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

/** Where Node.js keeps, on a connection, the answer whose turn it is and the request that it reads. Its own handler asks the former. */
interface HttpSocket extends Socket {
  _httpMessage?: ServerResponse | null
  parser?: { incoming?: IncomingMessage | null } | null
}

/**
 * Whether the next answer on a connection is that to the request at fault. Where one before it is not answered yet, or its own has
 * begun or is over, the client would take this for that answer, for a part of it, or for the answer to its next request.
 */
function mayAnswer (socket: Socket): boolean {
  const { _httpMessage: response, parser } = socket as HttpSocket
  const isAmidBody = parser?.incoming?.complete === false
  return socket.writable && (isAmidBody ? response != null && response.req === parser.incoming && !response.headersSent : response == null)
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
