import { UnfitServer } from '../store.js'
import type { OpenOptions } from '../store.js'

// After a failover, the previous primary may still be reachable and writable. A promoted standby begins a new timeline,
// so of two primaries of one cluster, the one with the lower timeline is the previous one. A server of the same
// timeline whose log ends earlier is a copy, or was restored.

/** Identifies the server that answers. */
interface ServerRow {
  /** A standby may lag behind by any amount of time, so its answer does not describe the present. */
  standby: boolean
  /**
   * When the server started, in milliseconds. A server that took over from another, or restarted after a crash, has
   * another start time.
   */
  started: number
}

/** The answer to `toChangesQuery`. */
export interface ChangesRow extends ServerRow {
  /** The number of the last commit that changed rules or keys. */
  number: number | null
  /** The server's clock. */
  time: number
}

/** Describes the data of the server that answers. */
export interface TimelineRow extends ServerRow {
  /** The process that serves the connection. */
  pid: number
  /** The id of the cluster, which a server shares with its standbys. Null: not shown. */
  system: string | null
  /** The name of the current file of the write-ahead log. It begins with the timeline. Null: not shown. */
  file: string | null
  /** Up to where the log is durable. Null: not shown. */
  flushed: string | null
}

/** A server, with the number of its last change if that was read. */
type Candidate = TimelineRow & Partial<Pick<ChangesRow, 'number'>>

const ALWAYS_SHOWN = `pg_catalog.pg_is_in_recovery() as standby,
  pg_catalog.floor(
    extract(epoch from pg_catalog.pg_postmaster_start_time()) operator(pg_catalog.*) 1000
  )::bigint as started,
  pg_catalog.pg_backend_pid() as pid`

const SHOWN = `${ALWAYS_SHOWN},
  (select c.system_identifier::pg_catalog.text from pg_catalog.pg_control_system() as c) as system,
  case when not pg_catalog.pg_is_in_recovery()
    then pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) end as file,
  case when not pg_catalog.pg_is_in_recovery()
    then pg_catalog.pg_current_wal_flush_lsn()::pg_catalog.text end as flushed`

const HIDDEN = `${ALWAYS_SHOWN}, null::pg_catalog.text as system, null::pg_catalog.text as file,
  null::pg_catalog.text as flushed`

/** What this process has seen of the servers behind its URL. */
export interface Timelines {
  /** The columns of a `TimelineRow`. */
  readonly columns: string
  /** Whether the number of this server's last change must be compared before the server can be used. */
  mustCompare (row: TimelineRow): boolean
  /**
   * Compares a server with what this process has seen.
   * @param asked - when the question was sent, in milliseconds of `performance.now()`.
   * @throws UnfitServer if this process must not use the server. It is also logged, once for each reason.
   */
  judge (row: Candidate, asked: number): void
  /** Leaves out the columns that a server refuses to show. Returns false if it showed them before. */
  hide (error: unknown): boolean
}

interface Seen {
  /** The server of the last answer that was accepted. */
  started?: number
  system?: string | null
  timeline: number
  flushed: bigint
  /** The number of the last change, and the server that was last compared by it. */
  number?: number
  compared?: number
  /** When the last answer arrived. An answer to an earlier question may be older. */
  at: number
}

type Options = Pick<OpenOptions, 'log'> & Required<Pick<OpenOptions, 'acceptLostCommits'>>

const REFUSED = 'this node refuses the database server; until it reaches the right server, it responds 503'

/** Creates the memory of one store. It lasts as long as the process. */
export function createTimelines ({ log, acceptLostCommits }: Options): Timelines {
  const seen: Seen = { timeline: 0, flushed: 0n, at: -Infinity }
  /** The clusters that this process has left for another one. */
  const left = new Set<string | null>()
  /** Why servers were refused, by their start times. They keep writing, so later they would no longer look older. */
  const refused = new Map<number, string>()
  let columns = SHOWN
  let reported: string | undefined

  function findProblem (row: Candidate, asked: number): string | undefined {
    const known = refused.get(row.started)
    if (known !== undefined) return known
    const isAnother = seen.system !== undefined && row.system !== seen.system
    if (isAnother && left.has(row.system)) return 'this node has moved from its cluster to another one'
    // Answers of one server may overtake each other. If another server answers, the order does not matter.
    const isLate = seen.at > asked
    const problem = (isAnother ? undefined : findOlderLog(seen, row, isLate && row.started === seen.started)) ??
      findLoss(row, isLate && row.started === seen.compared)
    if (problem !== undefined) refused.set(row.started, problem)
    return problem
  }

  function findLoss (row: Candidate, isLate: boolean): string | undefined {
    if (row.number === undefined || seen.number === undefined || isLate) return undefined
    const number = row.number ?? 0
    if (number >= seen.number) return undefined
    const problem = 'it lacks changes that this node has seen acknowledged: the last one is number ' +
      `${number}, and this node knows number ${seen.number}`
    if (!acceptLostCommits) {
      return `${problem}. Lead the nodes to the server that has them, or restart the nodes to accept the loss`
    }
    log(new Error(`The database server was replaced or restored, and ${problem}`),
      'acknowledged revocations or keys may be lost; find them in the logs of the nodes and make them again')
    seen.number = number
    return undefined
  }

  function accept (row: Candidate): void {
    if (seen.system !== undefined && row.system !== seen.system) {
      left.add(seen.system)
      Object.assign(seen, { timeline: 0, flushed: 0n })
    }
    const timeline = timelineOf(row)
    const flushed = toPosition(row.flushed)
    if (timeline > seen.timeline) Object.assign(seen, { timeline, flushed })
    else if (flushed > seen.flushed) seen.flushed = flushed
    seen.system = row.system
    seen.started = row.started
    seen.at = performance.now()
    if (row.number === undefined) return
    seen.number = Math.max(seen.number ?? 0, row.number ?? 0)
    seen.compared = row.started
  }

  return {
    get columns () { return columns },
    mustCompare: row => seen.number !== undefined && row.started !== seen.compared,
    judge (row, asked) {
      // The caller refuses it.
      if (row.standby) return
      const problem = findProblem(row, asked)
      if (problem !== undefined) {
        const error = new UnfitServer(`The database server is not the one to use: ${problem}`)
        if (reported !== problem) log(error, REFUSED)
        reported = problem
        throw error
      }
      // Two servers may answer in turn. So each reason is logged once, until the node accepts another server.
      if (row.started !== seen.started) reported = undefined
      accept(row)
    },
    hide (error) {
      if (columns === HIDDEN || seen.timeline > 0) return false
      columns = HIDDEN
      log(error, 'this database server does not show its timeline, so this node cannot tell a previous primary from ' +
        'the current one')
      return true
    }
  }
}

/** Returns why a server of the same cluster is older than what was seen, if it is. */
function findOlderLog (seen: Seen, row: TimelineRow, isLate: boolean): string | undefined {
  const timeline = timelineOf(row)
  if (timeline < seen.timeline) {
    return `it is a previous primary, on timeline ${timeline}, and this node has seen timeline ${seen.timeline}. ` +
      'Stop that server, and lead the nodes to the current primary'
  }
  if (timeline > seen.timeline || isLate || toPosition(row.flushed) >= seen.flushed) return undefined
  return `its log ends at ${row.flushed}, before what this node has seen on the same timeline. ` +
    'It is an old copy, or was restored. Lead the nodes to the primary, or restart the nodes to accept the loss'
}

/** Returns the timeline, or 0 if the server does not show it. */
function timelineOf ({ file }: TimelineRow): number {
  return file === null ? 0 : Number.parseInt(file.slice(0, 8), 16)
}

/** Converts a position in the log, such as `16/B374D848`. */
function toPosition (position: string | null): bigint {
  const [high = '0', low = '0'] = position?.split('/') ?? []
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
}
