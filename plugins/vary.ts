import type { FastifyReply } from 'fastify'
import { append } from 'vary'

/** Adds request headers to `Vary` and keeps those that are there already: RFC 9110 section 12.5.5. */
export function varyBy (reply: FastifyReply, ...names: string[]): void {
  const others = reply.getHeader('vary')
  // Nearly always there are none, and a guard does this for each request with a cookie.
  reply.header('vary', others === undefined ? names.join(', ') : append([others].flat().join(', '), names))
}
