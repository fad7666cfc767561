import { randomUUID } from 'node:crypto'
import pg from 'pg'

/** Creates a database on a PostgreSQL server, and returns its URL. */
export async function createDatabase (server: string): Promise<string> {
  const name = `bench_${randomUUID().replaceAll('-', '')}`
  await run(server, `create database ${name}`)
  return on(server, name)
}

export async function dropDatabase (url: string): Promise<void> {
  await run(on(url, 'postgres'), `drop database ${new URL(url).pathname.slice(1)} with (force)`)
}

/** Measures the time of a round trip to a server, in milliseconds. Returns one value for each trip. */
export async function measureTrips (server: string, trips: number): Promise<number[]> {
  const times: number[] = []
  await connected(server, async client => {
    while (times.length < trips) {
      const begun = performance.now()
      await client.query('select 1')
      times.push(performance.now() - begun)
    }
  })
  return times
}

const on = (url: string, name: string): string => new URL(`/${name}`, url).href

async function run (url: string, text: string): Promise<void> {
  await connected(url, client => client.query(text))
}

async function connected (url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
