import type { Command } from 'commander'
import { readConfiguration } from './configuration.js'
import { readDocument } from './document.js'
import { EXIT_CODES } from './exit-codes.js'
import { CommandError } from './failure.js'
import { example } from './output.js'
import { printable } from './terminal.js'

/** The timeout for a deployed service, in milliseconds. */
const TIMEOUT = 10_000

/** The maximum number of differences to show. */
const MOST_SHOWN = 20

export function addOpenapi (program: Command): void {
  program
    .command('openapi')
    .description('Print the OpenAPI document of this configuration, or compare a deployed one with it.')
    .option(
      '--url <url>',
      'fetch this document, for example https://auth.example.com/openapi.json, and fail if it differs'
    )
    .addHelpText(
      'after',
      example('latchkey openapi > openapi.json', 'latchkey openapi --url https://auth.example.com/openapi.json')
    )
    .action(openapi)
}

async function openapi ({ url }: { url?: string }): Promise<void> {
  if (url !== undefined && !/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
    throw new CommandError(
      'invalid_url',
      `'${url}' is not an http or https URL: use one such as https://auth.example.com/openapi.json`,
      { exitCode: EXIT_CODES.usage }
    )
  }
  const { options, check } = await readConfiguration()
  // The document does not depend on the database, so a missing secret is no reason to fail.
  check({ database: ':memory:' })
  const expected = await readDocument(options)
  if (url === undefined) {
    process.stdout.write(`${JSON.stringify(expected, null, 2)}\n`)
    return
  }

  const { default: diff } = await import('microdiff')
  const differences = diff(expected, await fetchDocument(url)).map(
    ({ type, path }) => `  ${DIFFERENCES[type]} ${printable(path.join(' > '))}`
  )
  if (differences.length === 0) {
    process.stdout.write(`${url} matches the document of this version and configuration.\n`)
    return
  }
  const more = differences.length > MOST_SHOWN ? [`  and ${differences.length - MOST_SHOWN} more`] : []
  process.stdout.write(`${[...differences.slice(0, MOST_SHOWN), ...more].join('\n')}\n`)
  throw new CommandError('document_differs', `${url} differs in ${differences.length} places from the document of ` +
    'this version and configuration: compare the versions and the environments')
}

/** How the deployed document differs at a path. */
const DIFFERENCES = { CREATE: 'adds      ', REMOVE: 'lacks     ', CHANGE: 'differs in' }

async function fetchDocument (url: string): Promise<object> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT) })
    if (!response.ok) throw new Error(`the response is ${response.status}`)
    const document: unknown = await response.json()
    if (typeof document !== 'object' || document === null) throw new Error('the response is not a JSON object')
    return document
  } catch (cause) {
    const reason =
      cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : (cause as Error).message
    throw new CommandError(
      'unreachable',
      `The document at ${url} cannot be read (${reason}): use the URL of openapi.json of a running service`,
      { exitCode: EXIT_CODES.unavailable, cause }
    )
  }
}
