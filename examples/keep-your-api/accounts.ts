// The accounts of app.ts, in the app's own table. Latchkey's tables are in the same database. Their names begin with
// `latchkey_`.
//
//   node dist/examples/keep-your-api/app.js

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import Database from 'better-sqlite3'
import type { UserDirectory } from 'fastify-latchkey'

// The ids of this app's users are integers, so `request.user.id` is a number.
declare module 'fastify-latchkey' {
  interface LatchkeyTypes { userId: number }
}

export interface Account {
  id: number
  email: string
  username: string
  bio: string | null
  /** In this app a role is the name of a scope. */
  role: 'reader' | 'editor'
}

export type NewAccount = Omit<Account, 'id' | 'bio'> & { password: string }

export interface Accounts extends UserDirectory {
  /** Returns undefined if the email address or the username is taken. */
  add (account: NewAccount): Promise<Account | undefined>
  get (id: number): Account | undefined
  named (username: string): Account | undefined
  setBio (id: number, bio: string): void
  close (): void
}

const derive = promisify<string, Buffer, number, Buffer>(scrypt)

/** Opens the table, and creates it if it does not exist. */
export function openAccounts (file: string): Accounts {
  const db = new Database(file)
  db.exec(`create table if not exists users (
    id integer primary key, email text not null unique, username text not null unique, bio text,
    role text not null, salt blob not null, hash blob not null
  )`)
  const columns = 'id, email, username, bio, role'
  const byId = db.prepare<[number], Account>(`select ${columns} from users where id = ?`)
  const byName = db.prepare<[string], Account>(`select ${columns} from users where username = ?`)
  const byEmail = db.prepare<[string], Account & { salt: Buffer, hash: Buffer }>(
    `select ${columns}, salt, hash from users where email = ?`
  )
  const insert = db.prepare<[string, string, string, Buffer, Buffer], Account>(
    `insert into users (email, username, role, salt, hash) values (?, ?, ?, ?, ?)
     on conflict do nothing returning ${columns}`
  )
  const updateBio = db.prepare<[string, number]>('update users set bio = ? where id = ?')
  const decoy = { salt: randomBytes(16), hash: randomBytes(32) }

  /** The account as Latchkey needs it: people log in with their email address. */
  const toUser = ({ id, email, role }: Account) => ({ id, username: email, scopes: [role] })

  return {
    async authenticate (email, password) {
      const account = byEmail.get(email)
      // Hash for unknown addresses too. Otherwise the response time would reveal which accounts exist.
      const { salt, hash } = account ?? decoy
      const isRight = timingSafeEqual(await derive(password, salt, 32), hash)
      return isRight && account !== undefined ? toUser(account) : null
    },
    async find (id) {
      const account = byId.get(id)
      return account === undefined ? null : toUser(account)
    },
    async add ({ email, username, role, password }) {
      const salt = randomBytes(16)
      return insert.get(email, username, role, salt, await derive(password, salt, 32))
    },
    get: id => byId.get(id),
    named: username => byName.get(username),
    setBio (id, bio) {
      updateBio.run(bio, id)
    },
    close () {
      db.close()
    }
  }
}
