import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import type { Keyring } from '../keys/keyring.js'
import type { Revocations } from '../revocation/revocations.js'
import type { Follower } from '../store/change-follower.js'
import { createStatusArray, INVALID } from './codec.js'
import type { StatusArray } from './codec.js'
import { LIST_SIZE, listUri } from './references.js'
import type { Store } from '../store/store.js'

// The Status List Tokens: draft-ietf-oauth-status-list-21 section 5. One bit for each session: INVALID once it was ended, by whomever and for
// whatever reason, or its user removed or disabled. One that has merely expired stays VALID, as its access tokens are here: they die by
// their own `exp`, which a verifier looks at first (section 8.3). What kills tokens and not their session a list cannot say.

/**
 * How long a verifier may go on with a list that it has fetched, in seconds: a session that ended at T is refused there by T + `ttl`, on top of what a node may be behind another one. Half a minute is a
 * thirtieth of the life of an access token, and asking costs an answer without a body as long as nobody's session of that list has ended.
 */
const STATUS_TTL = 30

/** Seconds until `exp`: who cannot reach us, or is handed an old list by somebody in between, believes it no longer than this. */
const LIFETIME = 300

/** Milliseconds of age at which a list that has not changed is signed anew: whoever is told that theirs is still good can rely on it for some polls more. */
const RENEWAL = LIFETIME * 1000 / 2

/** Milliseconds by which the end of a session may be ahead of our clock. */
const MOST_AHEAD = 24 * 60 * 60 * 1000

/** How many ended sessions are read in one step. */
const STEP = 1_000

/** How many lists are held in memory, about 60 kB each: as many as 16 million sessions have. */
const HELD = 256

/** A list as it is served. */
interface SignedStatusList {
  token: string
  /** A strong entity tag (RFC 9110 section 8.8.3). */
  etag: string
}

/** The signed lists. */
export interface StatusLists {
  /**
   * The list as of the moment as of which the revocations are known (`Follower.refresh`): what this process has acknowledged before the call is in it. Undefined: there is no such list, or it spoke of
   * tokens only that are dead. Rejects with a 503 where it cannot be told. Costs a look at the memory unless something was revoked since the last call.
   */
  read (id: string): Promise<SignedStatusList | undefined>
}

interface Held {
  id: string
  array: StatusArray
  /** The last `ended_at` that was read; more may have ended in that millisecond. */
  since: number
  /** `Store.epoch` of what was read: another server may know of ends before `since` that this one did not. */
  epoch: number
  /** How many changes are taken in. */
  seen: number
  signed: SignedStatusList & { kid: string, renewsAt: number } | undefined
  isGone: boolean
  building: Promise<void> | undefined
}

/**
 * Creates the lists of one instance.
 * @param base - the URL under which the routes are.
 */
export function createStatusLists ({ store, clock, follower, revocations, keyring, base }: {
  store: Store
  clock: Clock
  follower: Follower
  revocations: Revocations
  keyring: Keyring
  base: string
}): StatusLists {
  const held = new Map<string, Held>()
  // Whatever ends a session writes a rule with it.
  let changes = 0
  revocations.onRules(() => { changes++ })

  async function refresh (): Promise<void> {
    try {
      await follower.refresh()
    } catch (cause) {
      throw new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
    }
  }

  async function exists (id: string): Promise<boolean> {
    return await store.read(db => db.selectFrom('status_lists').select('id').where('id', '=', id).executeTakeFirst()) !== undefined
  }

  /** Marks what has ended since the last time; tells whether there was anything. A bit is never taken back: no place is given twice. */
  async function takeIn (list: Held): Promise<boolean> {
    const epoch = store.epoch()
    if (list.epoch !== epoch) Object.assign(list, { epoch, since: 0 })
    // An end in the future, or one that is not a time, is damaged. The session has ended all the same, but it must not
    // hide sessions that end later.
    const latest = clock.now() + MOST_AHEAD
    let isChanged = false
    for (let after = -1; ;) {
      const rows = await readEnded(list.id, { from: list.since, to: latest, after })
      for (const { status_index: index, ended_at: endedAt } of rows) {
        if (mark(list, index)) isChanged = true
        list.since = endedAt
        after = index
      }
      if (rows.length < STEP) break
      await nextTurn()
    }
    const damaged = await store.read(db => db.selectFrom('sessions').select('status_index')
      .where('status_list', '=', list.id).where('ended_at', '>', latest).limit(STEP).execute())
    for (const { status_index: index } of damaged) if (mark(list, index)) isChanged = true
    return isChanged
  }

  function readEnded (
    id: string, { from, to, after }: { from: number, to: number, after: number }
  ): Promise<Array<{ status_index: number, ended_at: number }>> {
    return store.read(db =>
      db
        .selectFrom('sessions')
        .select(['status_index', 'ended_at'])
        .where('status_list', '=', id)
        .where('ended_at', '>=', from)
        .where('ended_at', '<=', to)
        // A damaged index has no place in the list.
        .where('status_index', '>=', 0)
        .where('status_index', '<', LIST_SIZE)
        .where(eb => eb.or([eb('ended_at', '>', from), eb('status_index', '>', after)]))
        .orderBy('ended_at')
        .orderBy('status_index')
        .limit(STEP)
        .$narrowType<{ status_index: number; ended_at: number }>()
        .execute()
    )
  }

  function mark ({ array }: Held, index: number | null): boolean {
    if (index === null || !Number.isInteger(index) || index < 0 || index >= LIST_SIZE || array.get(index) === INVALID) {
      return false
    }
    array.set(index, INVALID)
    return true
  }

  function isSigned ({ signed }: Held): boolean {
    const now = clock.now()
    return signed !== undefined && now < signed.renewsAt && signed.kid === keyring.signer(now).kid
  }

  async function build (list: Held): Promise<void> {
    // Before anything is read: what changes while we read is for the next time.
    const target = changes
    if (!await exists(list.id)) {
      list.isGone = true
      held.delete(list.id)
      return
    }
    if (await takeIn(list)) list.signed = undefined
    if (!isSigned(list)) list.signed = sign(list)
    list.seen = target
  }

  function sign ({ id, array }: Held): Held['signed'] {
    const now = clock.now()
    const key = keyring.signer(now)
    const iat = Math.floor(now / 1000)
    // Without `iss`, `aud` and `client_id`: what takes a list for an access token, because it looks at no `typ`, must miss something (RFC 8725 section 3.12).
    const token = key.signStatusList({ sub: listUri(base, id), iat, exp: iat + LIFETIME, ttl: STATUS_TTL, status_list: array.encode() })
    return { token, etag: `"${createHash('sha256').update(token).digest('base64url')}"`, kid: key.kid, renewsAt: now + RENEWAL }
  }

  function hold (id: string): Held {
    const list: Held = { id, array: createStatusArray(1, LIST_SIZE), since: 0, epoch: store.epoch(), seen: -1, signed: undefined, isGone: false, building: undefined }
    if (held.size >= HELD) for (const oldest of [...held.keys()].slice(0, held.size - HELD + 1)) held.delete(oldest)
    held.set(id, list)
    return list
  }

  return {
    async read (id) {
      await refresh()
      const wanted = changes
      // Of names that somebody has made up nothing is held.
      const known = held.get(id)
      if (known === undefined && !await exists(id)) return undefined
      const list = known ?? held.get(id) ?? hold(id)
      // Many ask at once, and one builds; who asked after something that this one has not read waits for the next.
      while (!list.isGone && (list.seen < wanted || !isSigned(list))) {
        list.building ??= build(list).finally(() => { list.building = undefined })
        await list.building
      }
      return list.isGone ? undefined : list.signed
    }
  }
}
