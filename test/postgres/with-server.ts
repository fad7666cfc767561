import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startPostgres } from './server.js'

// Runs a command with a PostgreSQL server of its own, whose URL is in LATCHKEY_TEST_POSTGRES, and ends as the command
// does. Where that variable names a server already, it is used.

const [command, ...parameters] = process.argv.slice(2)
if (command === undefined) throw new Error('with-server: give the command to run')
const server = process.env.LATCHKEY_TEST_POSTGRES === undefined ? await startPostgres() : undefined
try {
  const child = spawn(
    command, parameters,
    { stdio: 'inherit', env: { ...process.env, ...server !== undefined && { LATCHKEY_TEST_POSTGRES: server.url } } }
  )
  const [code] = await once(child, 'exit') as [number | null]
  process.exitCode = code ?? 1
} finally {
  await server?.stop()
}
