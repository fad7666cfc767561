import { toHostUser } from '../../lib/identity/user-ids.js'
import type { UserIdKind } from '../../lib/identity/user-ids.js'
import type { Confirm, Confirmation } from '../../lib/sessions/login.js'

/** The milliseconds that `confirm` may take. Until it ends, the attempt counts against the limit of the account. */
const CONFIRM_LIMIT = 30_000

/** The names of RFC 8176 section 2, and any others that providers use. */
const METHOD = /^[A-Za-z0-9_.:/-]{1,64}$/
const MOST_METHODS = 10

/** Describes a valid `amr` in error messages. */
export const METHODS_EXPECTED = "a list of up to 10 names of RFC 8176, for example ['otp']"

/** Whether a value of the host is such a list. */
export function isListOfMethods (amr: unknown): amr is readonly string[] {
  return Array.isArray(amr) && amr.length <= MOST_METHODS &&
    amr.every(name => typeof name === 'string' && METHOD.test(name))
}

/** Wraps the host's check so that it gets a plain user, and remembers what the check threw. */
export function encloseCheck (
  check: Confirm | undefined, userIds: UserIdKind
): { confirm?: Confirm, failure: (error: unknown) => boolean } {
  if (check === undefined) return { failure: () => false }
  const thrown = new Set<unknown>()
  return {
    async confirm ({ id, username, scopes, roles }) {
      const held = roles === undefined ? {} : { roles: [...roles] }
      const user = toHostUser({ id, username, scopes: [...scopes], ...held }, userIds)
      try {
        return readAnswer(await withinLimit(check(user)))
      } catch (error) {
        thrown.add(error)
        throw error
      }
    },
    failure: error => thrown.has(error)
  }
}

/** JavaScript code may return any value or none. Only `true` or a valid `amr` lets the user in. */
function readAnswer (answer: unknown): Confirmation {
  if (typeof answer !== 'object' || answer === null || !('amr' in answer)) return answer === true
  if (isListOfMethods(answer.amr)) return { amr: answer.amr }
  throw new TypeError(`Latchkey: confirm returned an amr that is not ${METHODS_EXPECTED}`)
}

async function withinLimit (answer: Confirmation | Promise<Confirmation>): Promise<Confirmation> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`Latchkey: confirm did not end within ${CONFIRM_LIMIT / 1_000} seconds`))
    }, CONFIRM_LIMIT)
  })
  try {
    return await Promise.race([answer, limit])
  } finally {
    clearTimeout(timer)
  }
}
