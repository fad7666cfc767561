import { createHmac } from 'node:crypto'
import { networkOf } from '../identity/network.js'
import { keyOf } from '../identity/usernames.js'
import type { Store } from '../store/store.js'
import { findAttempts } from './rows.js'

/** The attempts that share one count of failures. `Throttle` creates the buckets. */
export interface Bucket {
  /** A MAC, because people type passwords into the username field, and the store must not reveal those. */
  key: string
  /** The account or client whose failures these are, also as a MAC. Null if `Throttle.forgive` must not clear them. */
  account: string | null
}

/** Where a session began. It is a known place for later attempts on the account from that network. */
export interface Place {
  account: string
  network: string
}

/** Finds the bucket of everything that can be guessed. */
export interface Buckets {
  /**
   * Returns the bucket of a login. Strangers share one for each account. A live session of the account has its own, and
   * so does each network where one of its sessions began, so that strangers cannot lock out the owner. The queries are
   * the same whether or not the account exists.
   * @param from.sessionId - the live session whose refresh token the request carries, of any account.
   */
  findLoginBucket (
    username: string, from: { address: string | undefined, sessionId: string | undefined }
  ): Promise<Bucket>
  /**
   * Returns the bucket for changing the password in a session. It is not the bucket of logins that carry the session's
   * refresh token, because a thief of an access token must not close that one to the owner.
   */
  changeBucket (sessionId: string): Bucket
  /**
   * Returns the bucket of a machine client's secret, one for each network, so that no other network can lock it out.
   */
  clientBucket (clientId: string, address: string | undefined): Bucket
  /**
   * Returns the bucket for a wrong secret, usually the same as `clientBucket`. Once a thousand networks have failed,
   * all further ones share one bucket. Otherwise a sender with many addresses could fill the store. A right secret
   * never waits for the shared bucket.
   * @param clientId - undefined if there is no such client. All invented ids count as one client.
   */
  findFailureBucket (clientId: string | undefined, address: string | undefined): Promise<Bucket>
  /** Returns what a new session stores about the place of its login. */
  placeOf (username: string, address: string | undefined): Place
  /** Returns the values that `Bucket.account` can have for a username, one for each key. */
  accountsOf (username: string): string[]
}

/** How many networks have a separate count of failures for one client. */
const MOST_NETWORKS = 1_000

function mac (key: Buffer, parts: readonly string[]): string {
  return createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url')
}

/** Creates the buckets. The first key makes the MACs. All keys recognise a place. */
export function createBuckets ({ store, keys }: {
  store: Store
  keys: readonly [Buffer, ...Buffer[]]
}): Buckets {
  function name (...parts: string[]): string {
    return mac(keys[0], parts)
  }

  function accountOf (username: string): string {
    return name('account', keyOf(username))
  }

  function accountsOf (username: string): string[] {
    return keys.map(key => mac(key, ['account', keyOf(username)]))
  }

  function clientBucket (clientId: string, address: string | undefined): Bucket {
    return { key: name('client', clientId, networkOf(address)), account: name('client', clientId) }
  }

  return {
    accountsOf,
    clientBucket,
    changeBucket: sessionId => ({ key: name('change', sessionId), account: null }),
    placeOf: (username, address) => ({ account: accountOf(username), network: networkOf(address) }),

    async findLoginBucket (username, { address, sessionId }) {
      const accounts = accountsOf(username)
      const account = accountOf(username)
      const network = networkOf(address)
      return await store.read(async db => {
        const sessions = db.selectFrom('latchkey_sessions').select('id').where('account', 'in', accounts)
        if (sessionId !== undefined && await sessions.where('id', '=', sessionId).executeTakeFirst() !== undefined) {
          return { key: name('session', sessionId), account: null }
        }
        const isKnown = await sessions.where('network', '=', network).limit(1).executeTakeFirst() !== undefined
        return { key: isKnown ? name('place', account, network) : name('strangers', account), account }
      })
    },

    async findFailureBucket (clientId = '', address) {
      const own = clientBucket(clientId, address)
      return await store.read(async db => {
        if (await findAttempts(db, own.key) !== undefined) return own
        const full = await db.selectFrom('latchkey_attempts').select('key').where('account', '=', own.account)
          .limit(1).offset(MOST_NETWORKS - 1).executeTakeFirst()
        return full === undefined ? own : { key: name('client elsewhere', clientId), account: null }
      })
    }
  }
}
