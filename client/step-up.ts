/** What a route asks for if the last login is too old for it. */
export interface StepUp {
  /** The seconds that may have passed since the login. Undefined if the response does not say. */
  maxAge: number | undefined
}

/** Returns what a response asks for: RFC 9470 section 3. Undefined if it asks for no other login. */
export function readStepUp ({ status, headers }: Response): StepUp | undefined {
  const challenge = headers.get('www-authenticate') ?? ''
  if (status !== 401 || !challenge.includes('error="insufficient_user_authentication"')) return undefined
  const seconds = /max_age="?(\d+)/.exec(challenge)?.[1]
  return { maxAge: seconds === undefined ? undefined : Number(seconds) }
}
