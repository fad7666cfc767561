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

// The Status List Tokens: draft-ietf-oauth-status-list-21 section 5. Each session has one bit. It becomes INVALID when
// anyone ends the session for any reason, or when its user is removed or disabled. A session that has merely expired
// stays VALID, because its access tokens expire by their own `exp`, which a verifier checks first (section 8.3). A list
// cannot show a revocation that kills tokens but not their session.

/**
 * How long a verifier may use a list that it has fetched, in seconds. It refuses a session that ended at T by T +
 * `ttl`, plus the time by which one node may lag behind another. Half a minute is a thirtieth of the life of an access
 * token. Asking again costs a response without a body, as long as no session of that list has ended.
 */
const STATUS_TTL = 30

/**
 * Seconds until `exp`. A verifier believes a list no longer than this, even if it cannot reach us or if someone in
 * between hands it an old list.
 */
const LIFETIME = 300

/**
 * The age in milliseconds at which an unchanged list is signed again. So a verifier that is told that its list is still
 * current can rely on it for several more polls.
 */
const RENEWAL = LIFETIME * 1000 / 2

/** Milliseconds by which the end of a session may be ahead of our clock. */
const MOST_AHEAD = 24 * 60 * 60 * 1000

/** How many ended sessions are read in one step. */
const STEP = 1_000

/** How many lists are held in memory, about 60 kB each. These are the lists of 16 million sessions. */
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
   * Returns the list as of the moment up to which the revocations are known (`Follower.refresh`). So it includes
   * everything that this process acknowledged before the call. Returns undefined if there is no such list, or if all
   * tokens that referred to it are dead. Rejects with a 503 if the revocations are unknown. It only reads memory unless
   * something was revoked since the last call.
   */
  read (id: string): Promise<SignedStatusList | undefined>
}

interface Held {
  id: string
  array: StatusArray
  /** The last `ended_at` that was read. More sessions may have ended in that millisecond. */
  since: number
  /** `Store.epoch` at that time. Another server may know of ends before `since` that this one did not know. */
  epoch: number
  /** How many changes the list includes. */
  seen: number
  signed: SignedStatusList & { kid: string, renewsAt: number } | undefined
  isGone: boolean
  building: Promise<void> | undefined
}

/** What the lists of one instance need. */
interface Sources {
  store: Store
  clock: Clock
  keyring: Keyring
  /** The URL that the routes are under. */
  base: string
}

/** Creates the lists of one instance. */
export function createStatusLists ({ follower, revocations, ...sources }: Sources & {
  follower: Follower
  revocations: Revocations
}): StatusLists {
  const held = new Map<string, Held>()
  // Everything that ends a session also writes a rule.
  let changes = 0
  revocations.onRules(() => { changes++ })

  async function refresh (): Promise<void> {
    try {
      await follower.refresh()
    } catch (cause) {
      throw new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
    }
  }

  function hold (id: string): Held {
    const list: Held = {
      id,
      array: createStatusArray(1, LIST_SIZE),
      since: 0,
      epoch: sources.store.epoch(),
      seen: -1,
      signed: undefined,
      isGone: false,
      building: undefined
    }
    if (held.size >= HELD) for (const oldest of [...held.keys()].slice(0, held.size - HELD + 1)) held.delete(oldest)
    held.set(id, list)
    return list
  }

  async function build (list: Held): Promise<void> {
    // Counted before anything is read, so that changes during the read are left for the next build.
    const target = changes
    if (!await exists(sources, list.id)) {
      list.isGone = true
      held.delete(list.id)
      return
    }
    if (await takeIn(sources, list)) list.signed = undefined
    if (!isSigned(sources, list)) list.signed = sign(sources, list)
    list.seen = target
  }

  return {
    async read (id) {
      await refresh()
      const wanted = changes
      // Made-up ids take no memory.
      const known = held.get(id)
      if (known === undefined && !await exists(sources, id)) return undefined
      const list = known ?? held.get(id) ?? hold(id)
      // If many callers ask at once, one build serves them all. A caller that needs a later change waits for the next.
      while (!list.isGone && (list.seen < wanted || !isSigned(sources, list))) {
        list.building ??= build(list).finally(() => { list.building = undefined })
        await list.building
      }
      return list.isGone ? undefined : list.signed
    }
  }
}

async function exists ({ store }: Sources, id: string): Promise<boolean> {
  return await store.read(db =>
    db.selectFrom('latchkey_status_lists').select('id').where('id', '=', id).executeTakeFirst()
  ) !== undefined
}

/**
 * Marks the sessions that have ended since the last time. Returns whether there were any. A bit is never cleared,
 * because no place is given twice.
 */
async function takeIn ({ store, clock }: Sources, list: Held): Promise<boolean> {
  const epoch = store.epoch()
  if (list.epoch !== epoch) Object.assign(list, { epoch, since: 0 })
  // An end in the future, or one that is not a time, is damaged. The session has ended all the same, but it must not
  // hide sessions that end later.
  const latest = clock.now() + MOST_AHEAD
  let isChanged = false
  for (let after = -1; ;) {
    const rows = await readEnded(store, list.id, { from: list.since, to: latest, after })
    for (const { status_index: index, ended_at: endedAt } of rows) {
      if (mark(list, index)) isChanged = true
      list.since = endedAt
      after = index
    }
    if (rows.length < STEP) break
    await nextTurn()
  }
  const damaged = await store.read(db => db.selectFrom('latchkey_sessions').select('status_index')
    .where('status_list', '=', list.id).where('ended_at', '>', latest).limit(STEP).execute())
  for (const { status_index: index } of damaged) if (mark(list, index)) isChanged = true
  return isChanged
}

function readEnded (
  store: Store, id: string, { from, to, after }: { from: number, to: number, after: number }
): Promise<Array<{ status_index: number, ended_at: number }>> {
  return store.read(db =>
    db
      .selectFrom('latchkey_sessions')
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
      .$narrowType<{ status_index: number, ended_at: number }>()
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

function isSigned ({ clock, keyring }: Sources, { signed }: Held): boolean {
  const now = clock.now()
  return signed !== undefined && now < signed.renewsAt && signed.kid === keyring.signer(now).kid
}

function sign ({ clock, keyring, base }: Sources, { id, array }: Held): Held['signed'] {
  const now = clock.now()
  const key = keyring.signer(now)
  const iat = Math.floor(now / 1000)
  // There is no `iss`, `aud` or `client_id`. A verifier that ignores `typ` could mistake a list for an access token, so
  // it must miss a claim (RFC 8725 section 3.12).
  const token = key.signStatusList({
    sub: listUri(base, id), iat, exp: iat + LIFETIME, ttl: STATUS_TTL, status_list: array.encode()
  })
  const etag = `"${createHash('sha256').update(token).digest('base64url')}"`
  return { token, etag, kid: key.kid, renewsAt: now + RENEWAL }
}
