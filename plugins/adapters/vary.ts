import type { FastifyReply } from 'fastify'
import { append } from 'vary'

/** Adds request headers to `Vary` (RFC 9110 section 12.5.5) and keeps those that it already lists. */
export function varyBy (reply: FastifyReply, ...names: string[]): void {
  const others = reply.getHeader('vary')
  // Parsing is skipped if there are no others, as in almost every response. A guard runs this for each request with a
  // cookie.
  reply.header('vary', others === undefined ? names.join(', ') : append([others].flat().join(', '), names))
}
