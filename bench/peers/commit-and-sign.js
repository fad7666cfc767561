// The minimum work of a refresh: commit one row durably, and sign one ES256 token. This repeats it for the given
// seconds, and prints the rate per second.
//
//   node bench/peers/commit-and-sign.js SECONDS

import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { createSigner } from 'fast-jwt'

const seconds = Number(process.argv[2] ?? 1)
const folder = mkdtempSync(join(tmpdir(), 'commit-and-sign-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const database = new Database(join(folder, 'sessions.db'))
database.pragma('journal_mode = WAL')
database.pragma('synchronous = FULL')
database.exec('create table sessions (id text primary key, generation integer) without rowid')
const id = randomUUID()
database.prepare('insert into sessions values (?, 0)').run(id)
const rotate = database.prepare('update sessions set generation = generation + 1 where id = ?')

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const sign = createSigner({ algorithm: 'ES256', key: privateKey.export({ type: 'pkcs8', format: 'pem' }) })

let count = 0
const begun = performance.now()
while (performance.now() - begun < seconds * 1000) {
  rotate.run(id)
  sign({ iss: 'https://auth.example.com', sub: id, aud: 'api', jti: randomUUID(), sid: id, scope: 'items:read' })
  count++
}
console.log(count / ((performance.now() - begun) / 1000))
database.close()
