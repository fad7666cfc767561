import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { environment, NODE } from './commands/support.js'
import { checkImage, commandOf, lastOf, readStages, runHealthCheck, variablesOf } from './dockerfile-support.js'

// No engine builds the image here. Its steps are checked one by one, and what it runs is run on this machine.

const [, image = []] = await readStages('Dockerfile')
const root = join(import.meta.dirname, '..', '..')

t.test('the image runs the packed command, not as root', async t => {
  await checkImage(t, 'Dockerfile', { ignore: '.dockerignore' })
})

t.test('the database and its secret are on the volume, in a folder of the user', async t => {
  const { LATCHKEY_DATABASE = '' } = variablesOf(image)
  t.equal(dirname(LATCHKEY_DATABASE), lastOf(image, 'VOLUME'))
  const owner = lastOf(image, 'USER')
  t.equal(lastOf(image, 'RUN'), `install -d -o ${owner} -g ${owner} -m 700 ${lastOf(image, 'VOLUME')}`)
  const volume = image.findIndex(({ name }) => name === 'VOLUME')
  t.ok(image.findLastIndex(({ name }) => name === 'RUN') < volume, 'a later change of the folder would be lost')
  t.equal(lastOf(image, 'EXPOSE'), variablesOf(image).PORT)
})

t.test('the command serves with the variables of the image, and the health check follows it', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-image-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const env = inFolder(folder, { ...variablesOf(image), PORT: String(port) })
  await mkdir(dirname(env.LATCHKEY_DATABASE ?? ''), { mode: 0o700 })
  const check = commandOf(lastOf(image, 'HEALTHCHECK'))

  await t.rejects(runHealthCheck(check, env), { code: 1 }, 'nothing answers yet')
  const service = await serve(t, env, folder)
  await t.resolves(runHealthCheck(check, env))
  await t.rejects(runHealthCheck(check, { ...env, LATCHKEY_PREFIX: '/elsewhere' }), { code: 1 }, 'it is not there')
  const files = await readdir(dirname(env.LATCHKEY_DATABASE ?? ''))
  t.ok(files.includes('latchkey.db') && files.includes('latchkey.secret'), files.join(' '))
  t.equal((await stat(join(folder, 'data', 'latchkey.secret'))).mode & 0o777, 0o600)

  t.equal(await stop(service), 0, 'it ends by SIGTERM, which the engine sends')
  await t.rejects(runHealthCheck(check, env), { code: 1 }, 'nothing answers any more')
})

t.test('the health check finds the service under a prefix', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-image-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const PORT = String(await freePort())
  const env = { ...variablesOf(image), PORT, LATCHKEY_DATABASE: ':memory:', LATCHKEY_PREFIX: '/auth' }
  await serve(t, env, folder)
  await t.resolves(runHealthCheck(commandOf(lastOf(image, 'HEALTHCHECK')), env))
})

/** The variables with the paths of the image below `folder`. */
function inFolder (folder: string, variables: Record<string, string>): Record<string, string> {
  const move = (value: string): string => value.startsWith('/') ? join(folder, value) : value
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, move(value)]))
}

/** Starts what the image starts, from this checkout instead of the installed package. */
async function serve (t: Test, env: Record<string, string>, cwd: string): Promise<ChildProcess> {
  const [, file = ''] = commandOf(lastOf(image, 'ENTRYPOINT'))
  const program = file.replace('/opt/latchkey/node_modules/fastify-latchkey', root)
  const command = [program, ...commandOf(lastOf(image, 'CMD'))]
  const child = spawn(NODE[0], [...NODE.slice(1), ...command], {
    cwd, env: environment(env), stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => stop(child))
  let output = ''
  await new Promise<void>((resolve, reject) => {
    function look (chunk: Buffer): void {
      output += String(chunk)
      if (output.includes('Server listening at')) resolve()
    }
    child.stdout?.on('data', look)
    child.stderr?.on('data', look)
    child.on('close', code => reject(new Error(`The service ended with ${code}: ${output}`)))
  })
  return child
}

/** Ends the service and returns its exit code. */
async function stop (child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const ended = new Promise<number | null>(resolve => child.on('exit', code => resolve(code)))
  child.kill('SIGTERM')
  return await ended
}

async function freePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
