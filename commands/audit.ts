import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { parse as parseDuration } from '@lukeed/ms'
import type { AuditEntry } from '../lib/ledger/audit.js'
import { parseDateTime } from '../lib/time/date-time.js'
import type { EventType } from '../schemas/events.js'
import { toColumns } from './columns.js'
import { withLatchkey } from './context.js'
import { example, parseCount, print } from './output.js'
import type { OutputOptions } from './output.js'
import { requireUser } from './user.js'

/** How many entries one query reads. */
const PAGE = 1_000

interface AuditOptions extends OutputOptions {
  user?: string
  type?: EventType
  outcome?: 'success' | 'failure'
  since?: (now: number) => number
  limit: number
}

/** `latchkey audit`. */
export function addAudit (program: Command): void {
  program
    .command('audit')
    .description('Show the audit trail, newest first: who did what to whom, from where, and whether it succeeded.')
    .option('--user <name>', 'only what happened to this user')
    .option('--type <type>', 'only events of this type, for example login_failed; docs/reference/events.md lists them')
    .addOption(new Option('--outcome <outcome>', 'only events with this outcome').choices(['success', 'failure']))
    .option(
      '--since <when>',
      'only events since a time (2026-11-03T12:00:00Z), or within a duration (24h, 7d)',
      parseSince
    )
    .option('--limit <count>', 'the maximum number of entries', parseCount, 100)
    .option('--json', 'print a JSON array')
    .addHelpText('after', example('latchkey audit --outcome failure --since 24h'))
    .action(showAudit)
}

async function showAudit ({ user: name, type, outcome, since, limit, ...options }: AuditOptions): Promise<void> {
  const { EVENT_TYPES } = await import('../schemas/events.js')
  if (type !== undefined && !EVENT_TYPES.includes(type)) {
    throw new InvalidArgumentError(`There is no event '${type}'. Choose from: ${EVENT_TYPES.join(', ')}`)
  }
  await withLatchkey(async (latchkey, settings) => {
    const subject = name === undefined ? undefined : (await requireUser(latchkey, name, settings)).id
    const query = { subject, type, outcome, since: since?.((settings.now ?? Date.now)()) }
    const found: AuditEntry[] = []
    while (found.length < limit) {
      const size = Math.min(PAGE, limit - found.length)
      const page = await latchkey.audit.list({ ...query, before: found.at(-1)?.id, limit: size })
      found.push(...page)
      if (page.length < size) break
    }
    print(options, {
      data: found.map(({ at, ...entry }) => ({ at: new Date(at).toISOString(), ...entry })),
      text: toColumns(['AT', 'EVENT', 'OUTCOME', 'BY', 'FROM', 'SUBJECT', 'DETAILS'], found.map(toRow))
    })
  })
}

function toRow ({ at, type, outcome, actor, subject, details }: AuditEntry): string[] {
  const pairs = Object.entries(details).map(([name, value]) => `${name}=${[value].flat().join(',')}`).join(' ')
  return [
    new Date(at).toISOString(),
    type,
    outcome,
    actor.id ?? actor.kind,
    actor.address ?? '-',
    subject ?? '-',
    pairs
  ]
}

function parseSince (text: string): (now: number) => number {
  const duration = /^\d{1,6}[smhd]$/.test(text) ? parseDuration(text) : undefined
  if (duration !== undefined) return now => now - duration
  const moment = parseDateTime(text) ?? parseDateTime(`${text}T00:00:00Z`)
  if (moment !== undefined) return () => moment
  throw new InvalidArgumentError('It must be a time such as 2026-11-03T12:00:00Z, or a duration such as 30m, 24h or 7d')
}
