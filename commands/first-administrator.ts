import type { Latchkey } from '../lib/latchkey.js'
import type { Settings } from '../lib/options/options.js'
import { generatePassword } from '../lib/passwords/policy.js'

const USERNAME = 'admin'

/** A new user whose password has not been shown yet. */
export interface FirstAdministrator {
  id: string
  password: string
}

/**
 * Creates the first administrator if there is no user yet, otherwise returns undefined. The user is stored durably when
 * the promise resolves.
 */
export async function addFirstAdministrator (
  latchkey: Latchkey,
  { users: ownUsers, passwordMinLength }: Pick<Settings, 'users' | 'passwordMinLength'>
): Promise<FirstAdministrator | undefined> {
  // The options file may contain a user store of its own.
  if (ownUsers !== undefined) return undefined
  const { users, scopes } = latchkey
  const password = generateLongPassword(passwordMinLength)
  const user = await users.addFirst({
    username: USERNAME,
    // Loaded at the first start only, and not in a thread, because starting a thread takes longer than hashing.
    hash: async () => (await import('../lib/passwords/hashing.js')).hashGenerated(password),
    scopes: Object.keys(scopes)
  })
  return user === null ? undefined : { id: user.id, password }
}

/** The policy may require more characters than one generated password has. */
function generateLongPassword (length: number): string {
  let password = generatePassword()
  while (password.length < length) password += generatePassword()
  return password
}

const READ_TOKEN = 'sed -n \'s/.*"access_token":"\\([^"]*\\)".*/\\1/p\''

/**
 * Returns the message that shows the password, once.
 * @param service.url - the URL of the routes.
 * @param service.hasPage - whether the service has the API page.
 */
export function introduce (
  { password }: FirstAdministrator, { url, hasPage }: { url: string, hasPage: boolean }
): string {
  const page = hasPage ? `The API page is at ${url}/docs. ` : ''
  return `
There were no users, so the service created an administrator with all scopes. The password is not shown again:

  name      ${USERNAME}
  password  ${password}

${page}In another terminal, log in, call a route, and revoke the token:

TOKEN=$(curl -sS -d 'grant_type=password&username=${USERNAME}&password=${password}' '${url}/token' | ${READ_TOKEN})
curl -sS -w '\\n' -H "Authorization: Bearer $TOKEN" '${url}/users/me'
curl -sS -w '\\n' -d "token=$TOKEN" '${url}/revoke'

`
}
