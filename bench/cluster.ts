import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../test/postgres/server.js'
import { runStorm, startStorm } from './clients.js'
import type { Storm } from './clients.js'
import { delayLink, startSite, withCleanup } from './cluster-parts.js'
import type { Later, Site } from './cluster-parts.js'
import { measureRefusals } from './cluster-refusals.js'
import type { Refusal, Tokens } from './cluster-refusals.js'
import { createDatabase, measureTrips } from './databases.js'
import { median, percentile, ratiosOf, spread } from './section.js'
import type { Effort, Section } from './section.js'

const CLIENTS = 32

/** The delay of the network in each direction, in milliseconds. */
const DELAY = 2.3

/** The smallest number of rounds. A single round of a server that shares two cores with its clients varies too much. */
const ROUNDS = 3

/** Milliseconds of a run at full effort. */
const RUN = 2_000

/** Milliseconds of a run that is not counted. */
const WARMING = 500

/** How many round trips to PostgreSQL to measure. */
const TRIPS = 50

/** How many refusals to measure in each round, at most. */
const REFUSALS = 40

const AWAY = `${2 * DELAY} ms away`
const SITES = {
  sqlite: { title: 'SQLite', nodes: 1 },
  one: { title: 'PostgreSQL, one node', nodes: 1 },
  three: { title: 'PostgreSQL, three nodes', nodes: 3 },
  oneAway: { title: `PostgreSQL ${AWAY}, one node`, nodes: 1 },
  threeAway: { title: `PostgreSQL ${AWAY}, three nodes`, nodes: 3 }
}

type Name = keyof typeof SITES
const NEAR: Name[] = ['sqlite', 'one', 'three']

interface Measured {
  refresh: Map<Name, Storm[]>
  login: Map<Name, Storm[]>
  revoke: Map<Name, Storm[]>
  refusals: Refusal[]
  /** Milliseconds of a round trip to PostgreSQL, directly and through the network. */
  trips: { near: number, away: number | undefined }
  /** The load average of the machine before the first run. */
  load: number
}

/** Measures PostgreSQL with one node and with three, near and over a network, beside SQLite. */
export async function measureCluster (
  { rounds, seconds, dist = join(import.meta.dirname, '..') }: Effort
): Promise<Section> {
  return describe(await withCleanup(async later => {
    const folder = await mkdtemp(join(tmpdir(), 'latchkey-cluster-'))
    later(() => rm(folder, { recursive: true, force: true }))
    const load = loadavg()[0] ?? NaN
    const { sites, trips } = await startSites({ folder, dist, later })
    // Not counted: the programs are slower until V8 has compiled them.
    await measureRound(sites, nothing({ trips, load }), WARMING)
    const measured = nothing({ trips, load })
    for (let round = 0; round < Math.max(rounds, ROUNDS); round++) await measureRound(sites, measured, seconds * RUN)
    return measured
  }))
}

function nothing (about: Pick<Measured, 'trips' | 'load'>): Measured {
  return { refresh: new Map(), login: new Map(), revoke: new Map(), refusals: [], ...about }
}

async function startSites (
  { folder, dist, later }: { folder: string, dist: string, later: Later }
): Promise<{ sites: Map<Name, Site>, trips: Measured['trips'] }> {
  const starting = startPostgres({ fsync: true })
  later(async () => { await (await starting).stop() })
  const server = await starting
  const away = await delayLink(server.url, { milliseconds: DELAY, folder, later })
  const trips = {
    near: median(await measureTrips(server.url, TRIPS)),
    away: away === undefined ? undefined : median(await measureTrips(away, TRIPS))
  }
  const sites = new Map<Name, Site>()
  for (const name of Object.keys(SITES) as Name[]) {
    const url = name.endsWith('Away') ? away : server.url
    if (url === undefined) continue
    const own = join(folder, name)
    await mkdir(own)
    sites.set(name, await startSite({
      folder: own,
      database: name === 'sqlite' ? join(own, 'latchkey.db') : await createDatabase(url),
      nodes: SITES[name].nodes,
      sessions: CLIENTS,
      dist,
      later
    }))
  }
  return { sites, trips }
}

/** @param run - milliseconds. Revocations may take twice as long until there are no tokens left. */
async function measureRound (sites: ReadonlyMap<Name, Site>, measured: Measured, run: number): Promise<void> {
  for (const [name, { urls, refreshTokens }] of sites) {
    add(measured.refresh, name, await runStorm({ kind: 'refresh', urls, refreshTokens }, CLIENTS, run))
  }
  for (const name of NEAR) {
    const { urls, logins, refreshTokens } = sites.get(name) as Site
    const storm = await runStorm({ kind: 'login', urls, logins }, CLIENTS, run)
    add(measured.login, name, storm)
    const sessions = storm.answers.map(answer => JSON.parse(answer) as Tokens)
    const ended = name === 'three' ? sessions.splice(0, Math.min(REFUSALS, sessions.length / 2)) : []
    const tokens = sessions.map(session => session.refresh_token)
    add(measured.revoke, name, await runStorm({ kind: 'revoke', urls, tokens }, CLIENTS, 2 * run))
    if (ended.length === 0) continue
    const load = startStorm({ kind: 'refresh', urls, refreshTokens }, CLIENTS)
    measured.refusals.push(...await measureRefusals(urls, ended))
    await load.stop()
  }
}

function add (runs: Map<Name, Storm[]>, name: Name, storm: Storm): void {
  runs.set(name, [...runs.get(name) ?? [], storm])
}

const rate = ({ rate }: Storm): number => rate

function describe (measured: Measured): Section {
  const { refusals, trips, load } = measured
  return {
    title: 'Cluster',
    columns: ['per second', 'x SQLite', 'p50 ms', 'p99 ms'],
    rows: [
      ...rowsOf('refreshes', measured.refresh),
      ...rowsOf('logins', measured.login),
      ...rowsOf('revocations', measured.revoke),
      rowOfRefusals('sent', refusals.map(({ sent }) => sent)),
      rowOfRefusals('acknowledged', refusals.map(({ acknowledged }) => acknowledged))
    ],
    verdicts: judge(measured),
    notes: [
      `${CLIENTS} clients send without a pause. All nodes, PostgreSQL and the clients share the cores of this ` +
        'machine. Each row of nodes has its own database. PostgreSQL flushes each commit to the disk (fsync). The ' +
        `load average was ${load.toFixed(1)} before the chapter. Other programs that run meanwhile distort the ` +
        'figures, and the ratios too.',
      'Logins use the cheapest hash and different users, and the limits of attempts are on. A revocation ends a ' +
        'session (`POST /revoke` with the refresh token). The nodes log warnings only, because a reader of the log ' +
        'would take processor time from them. They do not shed load, because other programs on this machine could ' +
        'trigger that.',
      'For the time until a token is refused, one of three nodes ends the session, and another gets the access token ' +
        `without a pause until it responds 401. Meanwhile, ${CLIENTS} clients refresh at all nodes. The times of all ` +
        'rounds are taken together.',
      trips.away === undefined
        ? 'The network was not measured. It needs Linux and a C compiler (cc).'
        : `The network is a proxy that delays everything by ${DELAY} ms in each direction (bench/delay-proxy.c). A ` +
          `round trip to PostgreSQL took ${trips.near.toFixed(2)} ms, and ${trips.away.toFixed(2)} ms through the ` +
          'network.'
    ]
  }
}

function rowsOf (what: string, runs: ReadonlyMap<Name, Storm[]>): Section['rows'] {
  return [...runs].map(([name, storms]) => ({
    name: `${what}: ${SITES[name].title}`,
    cells: [
      spread(storms.map(rate)),
      median(ratiosOf(storms, runs.get('sqlite') ?? [], rate)).toFixed(2),
      median(storms.map(({ p50 }) => p50)).toFixed(1),
      median(storms.map(({ p99 }) => p99)).toFixed(1)
    ]
  }))
}

function rowOfRefusals (since: string, times: readonly number[]): Section['rows'][number] {
  const sorted = times.toSorted((a, b) => a - b)
  return {
    name: `refused by another node, since the revocation was ${since}`,
    cells: [`${times.length} measured`, '', percentile(sorted, 0.5).toFixed(1), percentile(sorted, 0.99).toFixed(1)]
  }
}

function judge ({ refresh, login, revoke, refusals }: Measured): Section['verdicts'] {
  const ratio = (name: Name, base: Name): number[] => ratiosOf(refresh.get(name) ?? [], refresh.get(base) ?? [], rate)
  const rates = (runs: ReadonlyMap<Name, Storm[]>, name: Name): number[] => (runs.get(name) ?? []).map(rate)
  const atLeast = (target: string, values: readonly number[], least: number): Section['verdicts'][number] => ({
    target,
    measured: values.length === 0 ? 'not measured here' : spread(values, least < 10 ? 2 : 0),
    met: values.length > 0 && median(values) >= least
  })
  const sent = refusals.map(refusal => refusal.sent).toSorted((a, b) => a - b)
  return [
    atLeast('refreshes, one node: at least 0.5 of SQLite', ratio('one', 'sqlite'), 0.5),
    atLeast('refreshes, three nodes: at least 0.3 of SQLite', ratio('three', 'sqlite'), 0.3),
    atLeast(`refreshes, one node, ${AWAY}: at least 1,000/s`, rates(refresh, 'oneAway'), 1_000),
    atLeast(`refreshes, ${AWAY}: three nodes at least as many as one`, ratio('threeAway', 'oneAway'), 1),
    atLeast('logins, one node: at least 500/s', rates(login, 'one'), 500),
    atLeast('revocations, one node: at least 500/s', rates(revoke, 'one'), 500),
    {
      target: 'from a revocation sent to one node to a refusal by another, under refreshes: p99 below 100 ms',
      measured: `p50 ${percentile(sent, 0.5).toFixed(1)} ms, p99 ${percentile(sent, 0.99).toFixed(1)} ms`,
      met: percentile(sent, 0.99) < 100
    }
  ]
}
