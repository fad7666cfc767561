// This file has only types, because an app extends the interface in it: see `schemas/scopes.ts`.

/**
 * Types that your app declares. Empty unless your app extends it. `userId` is the type of `request.user.id`:
 *
 *     declare module 'fastify-latchkey' {
 *       interface LatchkeyTypes { userId: number }
 *     }
 *
 * You can name any entry of the package that re-exports this file, but use the same one throughout a program.
 */
export interface LatchkeyTypes {}

/** The id of a user: `string`, or what the app declares in `LatchkeyTypes`. */
export type UserId = LatchkeyTypes extends { userId: infer Id extends string | number } ? Id : string

/** The option `userIds`. The compiler requires it if the app declares integers, because both must agree. */
export type UserIdsOption = [UserId] extends [string] ? { userIds?: 'text' } : { userIds: 'integer' }
