import type { Difference } from '../store/settings.js'
import type { Settings } from './options.js'

/** The settings that the nodes of one database share, as text. */
interface SharedSettings {
  /** With another value, a node refuses the tokens or the users of the other nodes. */
  readonly required: Readonly<Record<string, string>>
  /** Nodes may differ while an update goes from node to node. */
  readonly expected: Readonly<Record<string, string>>
}

/** Returns the settings that must or should be the same on all nodes of a database. */
export function toSharedSettings (settings: Settings): SharedSettings {
  const { issuer, audience, users, userIds, algorithm, catalogue, roles, cookiesSecure, cookieNames } = settings
  return {
    required: {
      issuer,
      audience: JSON.stringify([...audience].sort()),
      users: users === undefined ? 'the built-in users' : 'the users of the app',
      userIds
    },
    expected: {
      algorithm,
      scopes: JSON.stringify(Object.keys(catalogue).sort()),
      roles: JSON.stringify(Object.fromEntries(Object.entries(roles).sort())),
      cookies: JSON.stringify([cookiesSecure, cookieNames.access, cookieNames.refresh]),
      refreshGrace: `${settings.refreshGrace} ms`,
      revocationBound: `${settings.revocationBound} ms`
    }
  }
}

const VARIABLES: Readonly<Record<string, string>> = { issuer: ' (LATCHKEY_ISSUER)', audience: ' (LATCHKEY_AUDIENCE)' }

/** The longest value in a message. */
const LONGEST = 200

/** Returns the error for settings that prevent this process from joining the other nodes. */
export function cannotJoin (differences: readonly Difference[]): Error {
  const list = differences.map(({ name, stored, own }) =>
    `the option ${name}${VARIABLES[name] ?? ''} is ${own.slice(0, LONGEST)} here, and the nodes that use this ` +
    `database have ${stored.slice(0, LONGEST)}`)
  return new Error(`This node does not belong to the others: ${list.join('; ')}. Give it the same values. To change ` +
    "them for all nodes, stop all nodes, run 'latchkey settings forget', and start them with the new values")
}
