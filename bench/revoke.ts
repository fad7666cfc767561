import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startContender } from './contenders.js'
import { median, spread } from './section.js'
import type { Effort, Section } from './section.js'

/** The number of tokens to revoke in each round, one after the other. */
const TOKENS = 20

/** The results of one revocation. */
interface Revoked {
  /** Milliseconds until the service acknowledged it. */
  took: number
  /**
   * How many later requests with the token were accepted, by the process that revoked it and by another on the same
   * file.
   */
  letIn: [own: number, other: number]
}

/**
 * Measures how soon a revoked token is rejected, by the process that revoked it and by another on the same database.
 */
export async function measureRevoke ({ rounds }: Effort): Promise<Section> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-revoke-'))
  const database = join(folder, 'latchkey.db')
  const revoked: Revoked[][] = []
  try {
    const one = await startContender('latchkey', ['--database', database, '--tokens', String(TOKENS * rounds)])
    try {
      const two = await startContender('latchkey', ['--database', database])
      try {
        const tokens = (await readFile(one.tokens ?? '', 'utf8')).split('\n')
        for (let round = 0; round < rounds; round++) {
          const results: Revoked[] = []
          for (const token of tokens.splice(0, TOKENS)) results.push(await revoke(token, one.url, two.url))
          revoked.push(results)
        }
      } finally {
        await two.stop()
      }
    } finally {
      await one.stop()
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  return describe(revoked)
}

async function revoke (token: string, one: string, two: string): Promise<Revoked> {
  for (const url of [one, two]) {
    if ((await ask(url, token)) !== 200) throw new Error('A token was rejected before it was revoked')
  }
  const begun = performance.now()
  const response = await fetch(`${one}/revoke`, { method: 'POST', body: new URLSearchParams({ token }) })
  await response.text()
  if (response.status !== 200) throw new Error(`The revocation was answered with ${response.status}`)
  const took = performance.now() - begun
  // Ask the other process first, so that nothing that this one does meanwhile can help it.
  const other = await countLetIn(two, token)
  return { took, letIn: [await countLetIn(one, token), other] }
}

/** Returns how many of three requests in a row are accepted. */
async function countLetIn (url: string, token: string): Promise<number> {
  let count = 0
  for (let request = 0; request < 3; request++) if (await ask(url, token) !== 401) count++
  return count
}

async function ask (url: string, token: string): Promise<number> {
  const response = await fetch(`${url}/items/1`, { headers: { authorization: `Bearer ${token}` } })
  await response.text()
  return response.status
}

function describe (revoked: Revoked[][]): Section {
  const sum = (which: 0 | 1): number => revoked.flat().reduce((count, { letIn }) => count + letIn[which], 0)
  const count = revoked.flat().length
  const verdict = (target: string, letIn: number): Section['verdicts'][number] => ({
    target,
    measured: `${count} tokens, ${letIn} requests accepted afterwards`,
    met: letIn === 0
  })
  return {
    title: 'From revoked to refused',
    columns: [
      'ms until the revocation is acknowledged, p50',
      'accepted afterwards here',
      'accepted afterwards by the other process'
    ],
    rows: [
      {
        name: 'POST /revoke',
        cells: [
          spread(
            revoked.map(results => median(results.map(({ took }) => took))),
            1
          ),
          String(sum(0)),
          String(sum(1))
        ]
      }
    ],
    verdicts: [
      verdict('refused at the next request of the same process', sum(0)),
      verdict('refused at the next request of another process on the same file', sum(1))
    ],
    notes: [
      'Both processes have accepted the token before, so both have it in their cache of verified tokens. ' +
        'Acknowledged means committed and flushed to disk (fsync).'
    ]
  }
}
