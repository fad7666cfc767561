import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { environment, NODE } from '../commands/support.js'

const root = join(import.meta.dirname, '..', '..', '..')

t.test('the test of an app in docs/testing.md is the example, and passes', async t => {
  const source = await readFile(join(root, 'examples', 'items.test.ts'), 'utf8')
  t.ok(
    (await readFile(join(root, 'docs', 'testing.md'), 'utf8')).includes(`\`\`\`ts\n${source}\`\`\`\n`),
    'it is in docs/testing.md, word for word'
  )

  const [command, ...args] = NODE
  const { stdout } = await promisify(execFile)(
    command, [...args, '--test-reporter=tap', join(root, 'dist', 'examples', 'items.test.js')],
    { cwd: t.testdir(), env: environment() }
  )
  t.match(stdout, /^# pass 1$/m)
  t.match(stdout, /^# fail 0$/m)
})
