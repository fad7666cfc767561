import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { planShards, renderShard } from '../scripts/shards.js'

const root = join(import.meta.dirname, '..', '..')

t.test('each test file is in exactly one entry, and the entries are current: `npm run shards`', async t => {
  const { shards, again, left } = await planShards(root)
  t.strictSame(left, [])
  const files = shards.flatMap(shard => shard.files)
  t.strictSame(files.filter((file, index) => files.indexOf(file) !== index), [])
  const written = (await readdir(
    join(root, 'test/shards'), { recursive: true }
  )).filter(file => file.endsWith('.ts')).sort()
  const all = [...shards, ...again]
  t.strictSame(written, all.map(({ name }) => `${name}.test.ts`).sort())
  for (const shard of all) {
    t.equal(
      await readFile(join(root, 'test/shards', `${shard.name}.test.ts`), 'utf8'), renderShard(shard), shard.name
    )
  }
})
