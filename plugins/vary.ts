import type { FastifyReply } from 'fastify'
import { append } from 'vary'

/** Adds request headers to `Vary` and keeps those that are there already: RFC 9110 section 12.5.5. */
export function varyBy (reply: FastifyReply, ...names: string[]): void {
  reply.header('vary', append([reply.getHeader('vary') ?? []].flat().join(', '), names))
}
