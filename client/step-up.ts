import type { Session } from './session.js'

/** What a route requires if the last login is too old for it. */
export interface StepUp {
  /** The seconds that may have passed since the login. Undefined if the response does not say. */
  maxAge: number | undefined
}

/** Returns what a response requires (RFC 9470 section 3), or undefined if it does not require a new login. */
export function readStepUp ({ status, headers }: Response): StepUp | undefined {
  const challenge = headers.get('www-authenticate') ?? ''
  if (status !== 401 || !challenge.includes('error="insufficient_user_authentication"')) return undefined
  const seconds = /max_age="?(\d+)/.exec(challenge)?.[1]
  return { maxAge: seconds === undefined ? undefined : Number(seconds) }
}

/** Sends requests, and sends them again after a login that their route requires. */
interface StepUps {
  /** Whether the tokens still belong to the user of this login. Never send a request with another user's tokens. */
  isSameUser (login: unknown): Promise<boolean>
  /** Sends a request, and once more if the same user has logged in again as its route requires. */
  sendAgain (request: Request): Promise<Response>
}

/**
 * Creates the step-ups of one client.
 * @param send - sends an authenticated request.
 * @param onStepUp - see `ClientOptions`. Undefined: requests are sent once.
 */
export function createStepUp ({ base, session, send, onStepUp }: {
  base: string
  session: Session
  send: (request: Request) => Promise<Response>
  onStepUp: ((stepUp: StepUp) => boolean | Promise<boolean>) | undefined
}): StepUps {
  let steppingUp: Promise<boolean> | undefined
  /** The last login that the same user has replaced with another. */
  let replaced: { from: unknown, to: unknown } | undefined

  async function isSameUser (login: unknown): Promise<boolean> {
    if (await session.login() === login) return true
    // The new login may still be in progress.
    await steppingUp?.catch(() => {})
    return replaced?.from === login && replaced?.to === await session.login()
  }

  async function findUser (): Promise<unknown> {
    const response = await send(new Request(`${base}/users/me`))
    return response.ok ? (await response.json() as { id?: unknown }).id : undefined
  }

  /** Returns whether the same user has logged in again. */
  async function logInAgain (required: StepUp): Promise<boolean> {
    const [user, from] = [await findUser(), await session.login()]
    if (user === undefined || await onStepUp?.(required) !== true || await findUser() !== user) return false
    const to = await session.login()
    if (to !== from) replaced = { from, to }
    return true
  }

  return {
    isSameUser,
    async sendAgain (request) {
      if (onStepUp === undefined) return await send(request)
      const login = await session.login()
      const response = await send(request.clone())
      const required = readStepUp(response)
      if (required === undefined) return response
      // The user may already have logged in again for another request that was refused with the same login.
      if (replaced === undefined || replaced.from !== login) {
        steppingUp ??= logInAgain(required).finally(() => { steppingUp = undefined })
        if (!await steppingUp) return response
      }
      if (!await isSameUser(login)) return response
      await response.body?.cancel()
      return await send(request)
    }
  }
}
