import type { UserId } from '../../schemas/user-ids.js'
import { isReservedId } from './client-ids.js'

/** The type of user ids in the app. In tokens, in the database and in events, ids are always text. */
export type UserIdKind = 'text' | 'integer'

/** The most characters of a text id. Tokens and many rows contain it. */
export const MOST_ID_LENGTH = 1_024

/** The only valid spelling of an integer, so that two texts are never the same id. */
const INTEGER = /^(0|[1-9][0-9]{0,15})$/

function readInteger (text: string): number | undefined {
  const integer = INTEGER.test(text) ? Number(text) : NaN
  return Number.isSafeInteger(integer) ? integer : undefined
}

/** Returns the text of an id that the app's directory returned, or undefined if it is no id of this kind. */
export function readUserId (id: unknown, kind: UserIdKind): string | undefined {
  if (kind === 'text') {
    return typeof id === 'string' && id !== '' && id.length <= MOST_ID_LENGTH && !isReservedId(id) ? id : undefined
  }
  // This excludes -0, fractions, and integers that share their value with others because they are not safe.
  return typeof id === 'number' && Object.is(readInteger(String(id)), id) ? String(id) : undefined
}

/** Returns the id in the app's type, or undefined if no user of the app can have this text as an id. */
export function toUserId (text: string, kind: UserIdKind): UserId | undefined {
  // The app declares the type, so it is unknown when this package is compiled.
  return (kind === 'text' ? text : readInteger(text)) as UserId | undefined
}

/** Returns the user with the id in the app's type. */
export function toHostUser<User extends { id: UserId }> (user: User, kind: UserIdKind): User {
  return kind === 'text' ? user : { ...user, id: toUserId(textOf(user.id), kind) ?? user.id }
}

/** Returns the text of an id that the app passes. Throws a TypeError for a number that is not an id. */
export function textOf (id: string | number): string {
  if (typeof id !== 'number') return id
  const text = readUserId(id, 'integer')
  if (text !== undefined) return text
  throw new TypeError(`${id} is not the id of a user: pass an integer from 0 to ${Number.MAX_SAFE_INTEGER}, or text`)
}
