import { parentPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import pg from 'pg'
import { startPostgres } from './server.js'

// The thread behind databases.ts.

const { port, signal, server } = workerData as {
  port: MessagePort, signal: Int32Array<SharedArrayBuffer>, server: string | undefined
}
const own = server === undefined ? await startPostgres() : undefined
const url = own?.url ?? server ?? ''
pg.types.setTypeParser(20, Number)

async function answer (
  { url: of = url, text, values }: { url?: string, text: string, values?: unknown[] }
): Promise<{ rows: unknown[], error?: string }> {
  const client = new pg.Client(of)
  try {
    await client.connect()
    const { rows } = await client.query(text, values)
    return { rows: text.startsWith('create database') ? [{ url, traces: own?.traces }] : rows }
  } catch (error) {
    return { rows: [], error: (error as Error).message }
  } finally {
    await client.end()
  }
}

parentPort?.on('message', (question: Parameters<typeof answer>[0]) => {
  answer(question).then(message => {
    port.postMessage(message)
    Atomics.store(signal, 0, 1)
    Atomics.notify(signal, 0)
  }, () => {})
})
