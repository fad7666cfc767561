import { isIPv6 } from 'node:net'
import type { AddressInfo } from 'node:net'
import closeWithGrace from 'close-with-grace'
import type { Command } from 'commander'
import type { FastifyInstance } from 'fastify'
import type { Settings } from '../lib/options/options.js'
import { readEnvironment } from './environment.js'
import { CommandError } from './failure.js'
import { addFirstAdministrator, introduce } from './first-administrator.js'
import { example } from './output.js'
import { watchRequests } from './requests.js'

/** How long what is in flight may take once the service is told to close, in milliseconds: below the 30 s after which Kubernetes kills. */
const PATIENCE = 25_000

/** `latchkey serve`. */
export function addServe (program: Command): void {
  program.command('serve')
    .description('Run the service. If there is no user yet, creates the first administrator and prints the password, once.')
    .addHelpText('after', example('PORT=8080 LATCHKEY_DATABASE=./auth.db latchkey serve'))
    .action(serve)
}

async function serve (): Promise<void> {
  const { options, service } = await readEnvironment()
  const { readOptions, readServiceOptions } = await import('../lib/options/options.js')
  const serviceOptions = readServiceOptions(service)
  const settings = readOptions(options)
  const { buildServer } = await import('../server.js')
  const app = await buildServer(options, serviceOptions)
  const requests = watchRequests(app.server)
  const administrator = await start(app, settings, serviceOptions)
  warnAboutSettings(app, settings, { defaultIssuer: readOptions({}).issuer })
  if (administrator !== undefined) process.stdout.write(introduce(administrator, originOf(app) + settings.prefix))

  closeWithGrace({ delay: PATIENCE, logger: app.log }, async function closeService ({ signal, err }) {
    if (err === undefined) app.log.info({ signal }, 'closing')
    else app.log.fatal({ err }, 'closing after an error that nothing has caught')
    const closed = app.close()
    await requests.done()
    // Browsers open connections that they may never use; Node.js takes them for busy, and would wait for their first request.
    app.server.closeAllConnections()
    await closed
  })
}

/** Listens, and gives the administrator where it had to make one. Where it cannot start nothing stays open, which would keep the process alive. */
async function start (app: FastifyInstance, settings: Settings, serviceOptions: { host: string, port: number }): Promise<Awaited<ReturnType<typeof addFirstAdministrator>>> {
  let administrator: Awaited<ReturnType<typeof addFirstAdministrator>>
  try {
    await app.ready()
    // Before anybody can register, and be the first user instead.
    administrator = await addFirstAdministrator(app.latchkey, settings)
    await listen(app, serviceOptions)
    return administrator
  } catch (error) {
    // Nobody was shown its password: the next start makes it anew.
    if (administrator !== undefined) await app.latchkey.users.remove(administrator.id)
    await app.close()
    throw error
  }
}

async function listen (app: FastifyInstance, { host, port }: { host: string, port: number }): Promise<void> {
  try {
    await app.listen({ host, port })
  } catch (cause) {
    throw new CommandError('cannot_listen', describeListenError(cause as NodeJS.ErrnoException, { host, port }), { cause })
  }
}

function describeListenError ({ code, message }: NodeJS.ErrnoException, { host, port }: { host: string, port: number }): string {
  switch (code) {
    case 'EADDRINUSE': return `Port ${port} of ${host} is taken by another program: stop that one, or choose another port (PORT)`
    case 'EACCES': return `Port ${port} may not be used by this user: choose one above 1023 (PORT)`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN': return `HOST is '${host}', which is no address of this machine: give one, such as 127.0.0.1 or 0.0.0.0`
    default: return `It cannot listen on port ${port} of ${host} (${message}): choose others (HOST, PORT)`
  }
}

function warnAboutSettings (app: FastifyInstance, { issuer, cookiesSecure }: Settings, { defaultIssuer }: { defaultIssuer: string }): void {
  if (!cookiesSecure) app.log.warn('cookies are not Secure (LATCHKEY_COOKIES_SECURE=false): anyone on the way can read them; for development only')
  if (!isPrivate(new URL(issuer))) app.log.warn({ issuer }, 'the issuer is plain http (LATCHKEY_ISSUER): RFC 8414 asks for https, and anyone on the way can read passwords and tokens; for development only')
  const isOpen = addressesOf(app).some(({ address }) => !address.startsWith('127.') && address !== '::1')
  if (isOpen && issuer === defaultIssuer) {
    app.log.warn({ issuer }, 'other machines can reach the service (HOST), and its tokens name the default issuer: set LATCHKEY_ISSUER to the URL at which clients reach it')
  }
}

/** Whether nobody listens on the way to a URL: it is encrypted, or the way does not leave this machine. */
function isPrivate ({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}

/** An address at which this machine reaches the service: those that mean "all addresses" are none. */
function originOf (app: FastifyInstance): string {
  const [first] = addressesOf(app)
  if (first === undefined) throw new Error('The service does not listen')
  const host = first.address === '0.0.0.0' ? '127.0.0.1' : first.address === '::' ? '::1' : first.address
  return `http://${isIPv6(host) ? `[${host}]` : host}:${first.port}`
}

function addressesOf (app: FastifyInstance): AddressInfo[] {
  return app.addresses().filter(address => typeof address !== 'string')
}
