import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ON_POSTGRES } from '../helper.js'
import { createWall, SECOND } from '../lib/support.js'
import type { Wall } from '../lib/support.js'
import { createDatabase, queryPostgres } from '../postgres/databases.js'
import { openInstance, passwordOf } from './instance.js'
import type { Instance } from './instance.js'
import { USERS } from './operations.js'
import type { Setup } from './operations.js'

/** When every case begins. */
export const START = Date.UTC(2026, 10, 3, 12, 0, 0, 250)

/** A database with the users and a key in it. */
interface Database {
  /** The folder of a SQLite file, or the URL of a PostgreSQL database. */
  place: string
  userIds: readonly string[]
}

/** Returns a database from which a case can start. */
export type CreateDatabase = (to: string) => Promise<Database>

/** Prepares what every case starts from. With SQLite, that is a copy of a file, because hashing takes long. */
export async function prepareDatabases (directory: string): Promise<CreateDatabase> {
  if (ON_POSTGRES) {
    return async () => {
      const place = createDatabase()
      return { place, userIds: await addUsers(place) }
    }
  }
  const template = join(directory, 'template')
  mkdirSync(template)
  const userIds = await addUsers(template)
  return async to => {
    cpSync(template, to, { recursive: true })
    return { place: to, userIds }
  }
}

async function addUsers (place: string): Promise<string[]> {
  const instance = await openInstance({
    database: databaseOf(place), now: createWall(START), accessTokenTtl: '60000ms'
  })
  const userIds: string[] = []
  for (const { username, scopes } of USERS) {
    userIds.push((await instance.app.latchkey.users.add({ username, password: passwordOf(0), scopes })).id)
  }
  await instance.close()
  return userIds
}

function databaseOf (place: string): string {
  return ON_POSTGRES ? place : join(place, 'auth.db')
}

/** Two processes on one database. Each has a clock of its own. */
export interface Machines {
  readonly userIds: readonly string[]
  instance (on: number): Instance
  /** The time that both clocks show if they are right, in milliseconds. */
  rightTime (): number
  isRight (on: number): boolean
  /** The earliest time of what the process does next, and the latest time if nothing else is under way. */
  timesOf (on: number): { earliest: number, latest: number }
  /** Moves both clocks and the right time. */
  move (milliseconds: number): void
  /** Makes a clock wrong by so many milliseconds. */
  turn (on: number, milliseconds: number): void
  restart (on: number, accessTokenTtl: number): Promise<void>
  /** Continues with the file as a power cut would leave it. Returns false if the database has no file. */
  crash (): Promise<boolean>
  close (): Promise<void>
}

/** Starts both processes. */
export async function startMachines (
  createDatabase: CreateDatabase, directory: string, setup: Setup
): Promise<Machines> {
  let lives = 0
  const nextFolder = (): string => join(directory, String(lives++))
  const right = createWall(START)
  const wrong = [0, 0]
  const clocks: Wall[] = wrong.map((_, on) => Object.assign(() => right() + (wrong[on] ?? 0), { move: right.move }))
  let { place, userIds } = await createDatabase(nextFolder())
  const instances = [await open(0, setup.accessTokenTtl), await open(1, setup.accessTokenTtl)]

  async function open (on: number, accessTokenTtl: number): Promise<Instance> {
    return await openInstance({
      database: databaseOf(place),
      now: clocks[on],
      accessTokenTtl: `${accessTokenTtl}ms`,
      refreshIdleTtl: `${setup.refreshIdleTtl}ms`,
      sessionTtl: `${setup.sessionTtl}ms`,
      refreshGrace: `${setup.refreshGrace}ms`
    })
  }

  function instance (on: number): Instance {
    return instances[on] as Instance
  }

  async function close (): Promise<void> {
    await Promise.all(instances.map(instance => instance.close()))
    if (ON_POSTGRES) {
      const url = new URL(place)
      const name = url.pathname.slice(1)
      url.pathname = '/postgres'
      queryPostgres(url.href, `drop database ${name}`, [])
    } else rmSync(place, { recursive: true, force: true })
  }

  return {
    userIds,
    instance,
    rightTime: right,
    isRight: on => wrong[on] === 0,
    timesOf (on) {
      const wall = (clocks[on] as Wall)()
      const now = instance(on).now()
      if (now < wall || now > wall + SECOND) throw new Error(`Process ${on} says ${now}, and its clock ${wall}`)
      // PostgreSQL dates a rotation in one statement, which does not know the clock of the process.
      return { earliest: ON_POSTGRES ? wall : now, latest: now }
    },
    move: right.move,
    turn (on, milliseconds) { wrong[on] = milliseconds },
    async restart (on, accessTokenTtl) {
      await instance(on).close()
      instances[on] = await open(on, accessTokenTtl)
    },
    async crash () {
      if (ON_POSTGRES) return false
      const next = nextFolder()
      // In another process: closing the file here would release the locks that SQLite has on it.
      const { status, stderr } = spawnSync('cp', ['-r', place, next], { encoding: 'utf8' })
      if (status !== 0) throw new Error(stderr)
      rmSync(join(next, 'auth.db-shm'), { force: true })
      await close()
      place = next
      for (const on of [0, 1]) instances[on] = await open(on, instance(on).accessTokenTtl)
      return true
    },
    close
  }
}
