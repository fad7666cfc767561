import type { FastifyInstance } from 'fastify'

/** The hooks that run before a handler, with the arguments of a guard. */
const EFFECTIVE = ['onRequest', 'preValidation', 'preHandler'] as const

/**
 * The hooks in which a guard would protect nothing although it looks like protection. They run too late, or with other
 * arguments.
 */
export const INEFFECTIVE = [
  'preParsing',
  'preSerialization',
  'onSend',
  'onResponse',
  'onError',
  'onTimeout',
  'onRequestAbort'
] as const

/** Returns the functions that an instance has for each hook. Fastify exposes them only under its own symbol. */
function hooksOf (instance: FastifyInstance): Partial<Record<string, unknown[]>> {
  const kHooks = Object.getOwnPropertySymbols(instance).find(({ description }) => description === 'fastify.hooks')
  return kHooks === undefined ? {} : Reflect.get(instance, kHooks) as Partial<Record<string, unknown[]>>
}

/** Whether a guard is a hook of this instance, not only of a route. */
export function isScopeHook (instance: FastifyInstance, guard: unknown): boolean {
  const hooks = hooksOf(instance)
  return EFFECTIVE.some(name => hooks[name]?.includes(guard) === true)
}

/** Throws a TypeError if a guard was added to this instance as a hook in which it protects nothing. */
export function assertEffective (instance: FastifyInstance, guard: unknown): void {
  const hooks = hooksOf(instance)
  const misplaced = INEFFECTIVE.find(name => hooks[name]?.includes(guard) === true)
  if (misplaced !== undefined) throw ineffective(`app.addHook('${misplaced}', ...)`)
}

/** Makes the error for a guard that protects nothing. */
export function ineffective (place: string): TypeError {
  return new TypeError(
    `A guard protects nothing as ${place}. Use it as an onRequest, preValidation or preHandler hook.`
  )
}
