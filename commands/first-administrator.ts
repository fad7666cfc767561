import type { Latchkey } from '../lib/latchkey.js'
import { generatePassword } from '../lib/passwords/policy.js'

const USERNAME = 'admin'

/** A user whose password nobody knows yet. */
export interface FirstAdministrator {
  id: string
  password: string
}

/** Where there is no user at all, makes the first administrator, else returns undefined. It is durably there when the promise resolves. */
export async function addFirstAdministrator ({ users, scopes }: Latchkey, { passwordMinLength }: { passwordMinLength: number }): Promise<FirstAdministrator | undefined> {
  const password = generateLongPassword(passwordMinLength)
  const user = await users.addFirst({
    username: USERNAME,
    // Loaded at the first start only, and not in a thread: that takes longer than the hash.
    hash: async () => (await import('../lib/passwords/hashing.js')).hashGenerated(password),
    scopes: Object.keys(scopes)
  })
  return user === null ? undefined : { id: user.id, password }
}

/** The policy may ask for more than one generated password has. */
function generateLongPassword (length: number): string {
  let password = generatePassword()
  while (password.length < length) password += generatePassword()
  return password
}

/**
 * What to tell about it, once.
 * @param url - at which the routes are.
 */
export function introduce ({ password }: FirstAdministrator, url: string): string {
  return `
There was no user yet. This is the first administrator, with all scopes; the password is not shown again:

  name      ${USERNAME}
  password  ${password}

Log in, call, revoke (in another terminal):

TOKEN=$(curl -sS -d 'grant_type=password&username=${USERNAME}&password=${password}' '${url}/token' | sed -n 's/.*"access_token":"\\([^"]*\\)".*/\\1/p')
curl -sS -w '\\n' -H "Authorization: Bearer $TOKEN" '${url}/users/me'
curl -sS -w '\\n' -d "token=$TOKEN" '${url}/revoke'

`
}
