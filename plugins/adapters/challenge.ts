import type { FastifyReply, onSendHookHandler } from 'fastify'

/** The status that the headers of a reply were made for, if it reports an error. */
const statuses = new WeakMap<FastifyReply, number>()

/**
 * Remembers that the headers of a reply, and so its challenge, were made for this status. Later error handlers do not
 * replace a challenge, so the first status counts.
 */
export function noteStatus (reply: FastifyReply, status: number): void {
  if (!statuses.has(reply)) statuses.set(reply, status)
}

/**
 * An `onSend` hook. It removes a challenge if an error handler of the host has chosen another status, because OAuth
 * clients look for the error in the challenge and not in the body.
 */
export function dropStrayChallenge (...[, reply, payload, done]: Parameters<onSendHookHandler>): void {
  const status = statuses.get(reply)
  if (status !== undefined && status !== reply.statusCode && reply.statusCode !== 401) {
    reply.removeHeader('www-authenticate')
  }
  done(null, payload)
}
