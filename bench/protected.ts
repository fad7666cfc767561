import { createPublicKey, verify } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import { checkContender, listContenders, startContender } from './contenders.js'
import type { RunningContender, Verdicts } from './contenders.js'
import { runLoad } from './load.js'
import type { Load, Target } from './load.js'
import { profile } from './profile.js'
import { median, ratiosOf, spread } from './section.js'
import type { Effort, Section } from './section.js'

/** The number of live revocation rules in Latchkey, and of rows in the hand-written blacklist. */
const RULES = 1_000_000
const FEW_RULES = 100_000

/** The number of different tokens to send in turn. It exceeds the cache, so Latchkey never finds one in it. */
const NEW_TOKENS = '25000'

const LEAST_RATE = 0.8
const MOST_CPU = 3
const MOST_SIGNATURES = 1.15
const LEAST_COOKIE_RATE = 0.9
const LEAST_KEY_RATE = 0.9

/** The number of signatures per measurement. */
const SIGNATURES = 2_000

/**
 * The contenders that the targets compare run in a new process in each round. By chance, V8 compiles the same program
 * better or worse for the life of a process, and the difference can be a fifth.
 */
const RENEWED = ['latchkey', 'fastify']

/** A row of the table, and its measurements. */
interface Entry {
  name: string
  /** One per round. */
  targets: Target[]
  isRenewed: boolean
  verdicts: Verdicts
  loads: Load[]
}

/** Measures `GET /items/1` with a token, as each contender protects it. */
export async function measureProtected ({ rounds, seconds, quick }: Effort): Promise<Section> {
  const running: RunningContender[] = []
  const rules = quick ? FEW_RULES : RULES
  try {
    const { entries, failures, latchkey } = await startAll(running, { rules, rounds })
    const signature: number[] = []
    // Not counted: this lets V8 compile the programs.
    if (!quick) {
      for (const {
        targets: [target]
      } of entries.filter(({ isRenewed }) => !isRenewed)) { await runLoad(target as Target, 2 * seconds) }
    }
    for (let round = 0; round < rounds; round++) {
      for (const { targets, isRenewed, loads } of entries) {
        const target = targets[round] as Target
        // The process was idle since it started, so let V8 compile it first.
        if (isRenewed) await runLoad(target, seconds)
        loads.push(await runLoad(target, seconds))
      }
      signature.push(await timeSignature(latchkey))
    }
    return await describe(entries, failures, { signature, rules, quick })
  } finally {
    for (const contender of running) await contender.stop()
  }
}

async function startAll (
  running: RunningContender[],
  { rules, rounds }: { rules: number, rounds: number }
): Promise<{ entries: Entry[], failures: Section['rows'], latchkey: RunningContender }> {
  const failures: Section['rows'] = []
  const entries: Entry[] = []
  const contenders = await listContenders()
  const started = await Promise.all(contenders.map(async ({ name, reason }) => {
    if (reason !== undefined) return undefined
    const args =
      name === 'latchkey'
        ? ['--rules', String(rules), '--tokens', NEW_TOKENS]
        : name === 'fastify-jwt-blacklist'
          ? [String(rules)]
          : []
    try {
      const copies = await Promise.all(
        Array.from({ length: RENEWED.includes(name) ? rounds : 1 }, () => startContender(name, args))
      )
      running.push(...copies)
      return copies
    } catch (error) {
      return error as Error
    }
  }))
  for (const [at, { name, title, reason }] of contenders.entries()) {
    const copies = started[at]
    if (copies === undefined || copies instanceof Error) {
      failures.push({
        name: title,
        cells: [copies === undefined ? `skipped: ${reason}` : `fails: ${copies.message.split('\n', 1)[0]}`]
      })
      continue
    }
    const verdicts = await checkContender(copies[0] as RunningContender)
    const wrong = Object.entries(verdicts).filter(([, verdict]) => verdict.startsWith('wrong'))
    if (wrong.length > 0) {
      failures.push({
        name: title,
        cells: [`fails: ${wrong.map(([check, verdict]) => `${check}: ${verdict}`).join('; ')}`]
      })
    } else {
      entries.push({
        name: title,
        targets: Array.from({ length: rounds }, (_, round) =>
          toTarget(copies[round] ?? (copies[0] as RunningContender))
        ),
        isRenewed: RENEWED.includes(name),
        verdicts,
        loads: []
      })
    }
  }
  const [copies] = started
  const [own, bare] = entries
  if (
    copies === undefined ||
    copies instanceof Error ||
    own === undefined ||
    bare === undefined ||
    failures.some(({ name }) => name === contenders[0]?.title)
  ) { throw new Error(`Latchkey itself responds incorrectly: ${JSON.stringify(failures)}`) }
  for (const [round, target] of bare.targets.entries()) target.headers = own.targets[round]?.headers ?? {}
  entries.splice(
    1,
    0,
    {
      ...own,
      name: 'Latchkey, by cookie',
      isRenewed: false,
      targets: own.targets.map(target => ({ ...target, headers: { cookie: toCookie(target.headers) } })),
      loads: []
    },
    {
      ...own,
      name: 'Latchkey, every token new',
      isRenewed: false,
      targets: own.targets.map((target, round) => ({ ...target, headers: {}, tokens: copies[round]?.tokens })),
      loads: []
    },
    {
      ...own,
      name: 'Latchkey, by personal access token',
      isRenewed: false,
      targets: own.targets.map((target, round) => ({ ...target, headers: copies[round]?.key ?? {} })),
      loads: []
    }
  )
  return { entries, failures, latchkey: copies[0] as RunningContender }
}

function toTarget ({ url, pid, headers }: RunningContender): Target {
  return { url: `${url}/items/1`, pid, headers: headers.good }
}

function toCookie ({ authorization = '' }: Target['headers']): string {
  return `__Host-access_token=${authorization.slice('Bearer '.length)}`
}

/** Measures the processor time, in milliseconds, to check the signature of one token, and nothing else. */
async function timeSignature ({ url, headers }: RunningContender): Promise<number> {
  const { keys } = await (await fetch(`${url}/.well-known/jwks.json`)).json() as { keys: JsonWebKey[] }
  const key = createPublicKey({ key: keys[0] as JsonWebKey, format: 'jwk' })
  const [header, payload, encoded] = (headers.good.authorization ?? '').slice('Bearer '.length).split('.') as [
    string,
    string,
    string
  ]
  const begun = process.cpuUsage()
  for (let count = 0; count < SIGNATURES; count++) {
    if (
      !verify(
        'sha256',
        Buffer.from(`${header}.${payload}`),
        { key, dsaEncoding: 'ieee-p1363' },
        Buffer.from(encoded, 'base64url')
      )
    ) { throw new Error('The signature is invalid') }
  }
  const { user, system } = process.cpuUsage(begun)
  return (user + system) / 1_000 / SIGNATURES
}

async function describe (
  entries: Entry[],
  failures: Section['rows'],
  { signature, rules, quick }: { signature: number[], rules: number, quick: boolean }
): Promise<Section> {
  const [seen, cookie, fresh, key, bare] = entries.map(({ loads }) => loads) as [
    Load[], Load[], Load[], Load[], Load[]
  ]
  const rate = ratiosOf(seen, bare, load => load.rate)
  const more = seen.map((load, round) => (load.cpu - (bare[round]?.cpu ?? NaN)) * 1_000)
  const above = fresh.map((load, round) => (load.cpu - (seen[round]?.cpu ?? NaN)) / (signature[round] ?? NaN))
  const byCookie = ratiosOf(cookie, seen, load => load.rate)
  const byKey = ratiosOf(key, seen, load => load.rate)
  const verdicts = [
    {
      target: `a token verified before, ${rules.toLocaleString('en')} rules: ` +
        `at least ${LEAST_RATE} of the rate of Fastify alone`,
      measured: spread(rate, 2),
      met: median(rate) >= LEAST_RATE
    },
    {
      target: `the same token: at most ${MOST_CPU} µs more processor time than Fastify alone`,
      measured: `${spread(more, 1)} µs`,
      met: median(more) <= MOST_CPU
    },
    {
      target: `every token new: at most ${MOST_SIGNATURES} x the signature check ` +
        `(${(median(signature) * 1_000).toFixed(1)} µs) in addition`,
      measured: `${spread(above, 2)} x`,
      met: median(above) <= MOST_SIGNATURES
    },
    {
      target: `by cookie: at least ${LEAST_COOKIE_RATE} of the rate by header`,
      measured: spread(byCookie, 2),
      met: median(byCookie) >= LEAST_COOKIE_RATE
    },
    {
      target: `by personal access token: at least ${LEAST_KEY_RATE} of the rate by access token`,
      measured: spread(byKey, 2),
      met: median(byKey) >= LEAST_KEY_RATE
    }
  ]
  return {
    title: 'A protected request',
    columns: ['requests/s', 'x Fastify alone', 'processor µs', '+ µs', 'p99 ms', 'expired', 'forged', 'revoked'],
    rows: [
      ...entries.map(({ name, loads, verdicts }) => ({
        name,
        cells: [
          spread(loads.map(load => load.rate)),
          spread(ratiosOf(loads, bare, load => load.rate), 2),
          spread(loads.map(load => load.cpu * 1_000), 1),
          median(loads.map((load, round) => (load.cpu - (bare[round]?.cpu ?? NaN)) * 1_000)).toFixed(1),
          median(loads.map(load => load.p99)).toFixed(1),
          ...[verdicts.expired, verdicts.forged, verdicts.revoked]
            .map(verdict => verdict === 'ok' ? 'refused' : 'not offered')
        ]
      })),
      ...failures
    ],
    verdicts,
    notes: [
      'Latchkey and Fastify alone run in a new process in each round. By chance, V8 compiles the same program ' +
        'better or worse, and keeps the result for the life of the process. That causes most of the spread in their ' +
        'rows.',
      'The last three columns show how each contender answered an expired, a forged and a revoked token before it ' +
        'was timed. `not offered` means that the contender has no such check. Latchkey checks expiry, revocation, ' +
        'audience and scope in every request of every row.',
      ...quick || verdicts.every(({ met }) => met)
        ? []
        : [
            await profile(
              'Where the processor time goes, with a token verified before',
              ['--rules', String(rules)],
              latchkey => runLoad(toTarget(latchkey), 3)
            )
          ]
    ]
  }
}
