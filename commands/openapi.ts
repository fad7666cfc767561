import type { Command } from 'commander'
import { readDocument } from './document.js'
import { readEnvironment } from './environment.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { example } from './output.js'
import { printable } from './terminal.js'

/** How long a deployed service may take, in milliseconds. */
const TIMEOUT = 10_000

/** How many differences are shown. */
const MOST_SHOWN = 20

export function addOpenapi (program: Command): void {
  program.command('openapi')
    .description('Print the OpenAPI document of this configuration, or compare a deployed one with it.')
    .option('--url <url>', 'fetch this document, for example https://auth.example.com/openapi.json, and fail if it differs')
    .addHelpText('after', example('latchkey openapi > openapi.json', 'latchkey openapi --url https://auth.example.com/openapi.json'))
    .action(openapi)
}

async function openapi ({ url }: { url?: string }): Promise<void> {
  if (url !== undefined && !/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
    throw new CommandError('invalid_url', `'${url}' is no http or https URL: give one such as https://auth.example.com/openapi.json`, { exitCode: EXIT_CODES.usage })
  }
  const { options } = await readEnvironment()
  const expected = await readDocument(options)
  if (url === undefined) {
    process.stdout.write(`${JSON.stringify(expected, null, 2)}\n`)
    return
  }

  const { default: diff } = await import('microdiff')
  const differences = diff(expected, await fetchDocument(url)).map(({ type, path }) => `  ${DIFFERENCES[type]} ${printable(path.join(' > '))}`)
  if (differences.length === 0) {
    process.stdout.write(`${url} is the document of this version and configuration.\n`)
    return
  }
  const more = differences.length > MOST_SHOWN ? [`  and ${differences.length - MOST_SHOWN} more`] : []
  process.stdout.write(`${[...differences.slice(0, MOST_SHOWN), ...more].join('\n')}\n`)
  throw new CommandError('document_differs', `${url} differs in ${differences.length} places from the document of this version and configuration: look whether version and environment are the same`)
}

/** What the deployed document does with a member of ours. */
const DIFFERENCES = { CREATE: 'has also ', REMOVE: 'lacks    ', CHANGE: 'differs in' }

async function fetchDocument (url: string): Promise<object> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT) })
    if (!response.ok) throw new Error(`the answer is ${response.status}`)
    const document: unknown = await response.json()
    if (typeof document !== 'object' || document === null) throw new Error('the answer is no JSON object')
    return document
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : (cause as Error).message
    throw new CommandError('unreachable', `No document came from ${url} (${reason}): give the URL of openapi.json of a running service`, { exitCode: EXIT_CODES.unavailable, cause })
  }
}
