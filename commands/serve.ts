import { isIPv6 } from 'node:net'
import type { AddressInfo } from 'node:net'
import closeWithGrace from 'close-with-grace'
import type { Command } from 'commander'
import type { FastifyInstance } from 'fastify'
import type { Settings } from '../lib/options/options.js'
import type { ServiceSettings } from '../schemas/options.js'
import type { LogOutput } from '../server.js'
import { readConfiguration } from './configuration.js'
import { CommandError } from './failure.js'
import { addFirstAdministrator, introduce } from './first-administrator.js'
import { example } from './output.js'
import { watchRequests } from './requests.js'
import { printable } from './terminal.js'

/** Milliseconds that open requests have to finish when the service closes. Kubernetes kills a process after 30 s. */
const PATIENCE = 25_000

/** `latchkey serve`. */
export function addServe (program: Command): void {
  program
    .command('serve')
    .description(
      'Run the service. If there is no user yet, create the first administrator and print the password, once.'
    )
    .addHelpText('after', example('PORT=8080 LATCHKEY_DATABASE=./auth.db latchkey serve'))
    .action(serve)
}

async function serve (): Promise<void> {
  const { options, service, file, hasIssuer, check } = await readConfiguration()
  const { readServiceOptions } = await import('../lib/options/options.js')
  const serviceOptions = readServiceOptions(service)
  const settings = check()
  if (file?.options.decorators !== undefined) {
    throw new CommandError(
      'invalid_option',
      `In ${printable(file.path)}, the option decorators works only in an app that registers the plugin: ` +
        'remove the option'
    )
  }
  const { buildServer } = await import('../server.js')
  const app = await buildServer(options, serviceOptions, { log: await createLog(serviceOptions) })
  const requests = watchRequests(app.server)
  const administrator = await start(app, settings, serviceOptions)
  warnAboutSettings(app, settings, { hasIssuer })
  closeWithGrace({
    delay: PATIENCE,
    logger: app.log,
    // Signals of a crash. If they had a listener, a process that really crashed would never end.
    skip: ['SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGSEGV', 'SIGTRAP']
  }, async function closeService ({ signal, err }) {
    if (err === undefined) app.log.info({ signal }, 'closing')
    else app.log.fatal({ err }, 'closing after an uncaught error')
    const closed = app.close()
    await requests.done()
    // Browsers open connections in advance and may never use them. Node.js would wait for their first request.
    app.server.closeAllConnections()
    await closed
  })

  // Last, so that no line of the log pushes the password off the screen.
  if (administrator !== undefined) {
    process.stdout.write(introduce(administrator, { url: originOf(app) + settings.prefix, hasPage: settings.docs }))
  }
}

/** Returns a destination that formats the log for people, or undefined for JSON on standard output. */
async function createLog ({ logFormat }: ServiceSettings): Promise<LogOutput | undefined> {
  const isText = logFormat === undefined ? process.stdout.isTTY : logFormat === 'text'
  return isText ? (await import('./log-lines.js')).createLogLines(process.stdout) : undefined
}

/**
 * Listens, and returns the administrator if it created one. If it fails, it closes everything, because open handles
 * would keep the process alive.
 */
async function start (
  app: FastifyInstance,
  settings: Settings,
  serviceOptions: { host: string, port: number }
): Promise<Awaited<ReturnType<typeof addFirstAdministrator>>> {
  let administrator: Awaited<ReturnType<typeof addFirstAdministrator>>
  try {
    await app.ready()
    // Before listening, so that no one can register as the first user.
    administrator = await addFirstAdministrator(app.latchkey, settings)
    await listen(app, serviceOptions)
    return administrator
  } catch (error) {
    // The password was never shown, so let the next start create the administrator again.
    if (administrator !== undefined) await app.latchkey.users.remove(administrator.id)
    await app.close()
    throw error
  }
}

async function listen (app: FastifyInstance, { host, port }: { host: string, port: number }): Promise<void> {
  try {
    await app.listen({ host, port })
  } catch (cause) {
    throw new CommandError('cannot_listen', describeListenError(cause as NodeJS.ErrnoException, { host, port }), {
      cause
    })
  }
}

function describeListenError (
  { code, message }: NodeJS.ErrnoException,
  { host, port }: { host: string, port: number }
): string {
  switch (code) {
    case 'EADDRINUSE':
      return `Port ${port} of ${host} is used by another program: stop that program, or choose another port (PORT)`
    case 'EACCES':
      return `This user may not use port ${port}: choose one above 1023 (PORT)`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST is '${host}', which is not an address of this machine: set it to one such as 127.0.0.1 or 0.0.0.0`
    default:
      return `The service cannot listen on port ${port} of ${host} (${message}): ` +
        'choose another address or port (HOST, PORT)'
  }
}

function warnAboutSettings (
  app: FastifyInstance,
  { issuer, cookiesSecure }: Settings,
  { hasIssuer }: { hasIssuer: boolean }
): void {
  if (!cookiesSecure) {
    app.log.warn('cookies are not Secure (LATCHKEY_COOKIES_SECURE=false), so anyone on the network ' +
      'path can read them: use this for development only')
  }
  if (!isPrivate(new URL(issuer))) {
    app.log.warn({ issuer }, 'the issuer uses plain http (LATCHKEY_ISSUER), ' +
      'so anyone on the network path can read passwords and tokens, and RFC 8414 requires https: ' +
      'use this for development only')
  }
  const isOpen = addressesOf(app).some(({ address }) => !address.startsWith('127.') && address !== '::1')
  if (isOpen && !hasIssuer) {
    app.log.warn({ issuer }, 'other machines can reach the service (HOST), but its tokens name the default issuer: ' +
      'set LATCHKEY_ISSUER to the URL that clients use')
  }
}

/** Whether traffic to a URL cannot be read on its way: it is encrypted, or it does not leave this machine. */
function isPrivate ({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}

/** Returns a URL at which this machine reaches the service. Replaces the addresses that mean "all addresses". */
function originOf (app: FastifyInstance): string {
  const [first] = addressesOf(app)
  if (first === undefined) throw new Error('The service is not listening')
  const host = first.address === '0.0.0.0' ? '127.0.0.1' : first.address === '::' ? '::1' : first.address
  return `http://${isIPv6(host) ? `[${host}]` : host}:${first.port}`
}

function addressesOf (app: FastifyInstance): AddressInfo[] {
  return app.addresses().filter(address => typeof address !== 'string')
}
