import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'

// Databases for tests that were written for SQLite, whose driver answers at once: a thread asks, and we wait for it.

let thread: { worker: Worker, port: MessagePort, signal: Int32Array<SharedArrayBuffer> } | undefined

function startThread (): NonNullable<typeof thread> {
  const signal = new Int32Array(new SharedArrayBuffer(4))
  const { port1: port, port2 } = new MessageChannel()
  const worker = new Worker(
    new URL('./asker.js', import.meta.url),
    { workerData: { port: port2, signal, server: process.env.LATCHKEY_TEST_POSTGRES }, transferList: [port2] }
  )
  worker.unref()
  return { worker, port, signal }
}

function ask (question: { url?: string, text: string, values?: unknown[] }): unknown[] {
  thread ??= startThread()
  const { worker, port, signal } = thread
  worker.postMessage(question)
  Atomics.wait(signal, 0, 0)
  Atomics.store(signal, 0, 0)
  const { rows, error } = receiveMessageOnPort(port)?.message as { rows: unknown[], error?: string }
  if (error !== undefined) throw new Error(error)
  return rows
}

/**
 * The URL of a new, empty database on the server of `LATCHKEY_TEST_POSTGRES`, or of one that is started for this
 * process.
 */
export function createDatabase (): string {
  const name = `test_${randomUUID().replaceAll('-', '')}`
  const isFirst = thread === undefined
  const [row] = ask({ text: `create database ${name}` })
  const { url, traces } = row as { url: string, traces?: { pid: number, folder: string } }
  if (isFirst && traces !== undefined) process.once('exit', () => end(traces))
  return url.replace(/\/[^/]*$/, `/${name}`)
}

/** A server of our own does not outlive us. */
function end ({ pid, folder }: { pid: number, folder: string }): void {
  process.kill(pid, 'SIGQUIT')
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
}

/** Runs SQL with `?` for its parameters. */
export function queryPostgres<Row> (url: string, text: string, values: unknown[]): Row[] {
  let number = 0
  return ask({ url, text: text.replaceAll('?', () => `$${++number}`), values }) as Row[]
}
