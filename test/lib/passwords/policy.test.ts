import { spawnSync } from 'node:child_process'
import t from 'tap'
import { checkPassword, generatePassword, MAX_PASSWORD_BYTES, type PasswordRules } from '../../../lib/passwords/policy.js'

const COMMON = 'It is one of the most common passwords.'
const REPEATS_COMMON = 'It repeats one of the most common passwords.'
const USERNAME = 'It is nothing but the username.'
const CONTEXT = 'It is nothing but a word that is easy to guess here.'
const SEQUENCE = 'It is a simple sequence of characters.'
const REPEATS = 'It only repeats a short part.'
const SHORT = 'It is shorter than 15 characters.'
const LONG = 'It is longer than 1,024 bytes.'
const NOT_UNICODE = 'It contains a character that is not valid Unicode.'

t.test('passwords and reasons', async (t) => {
  const table: Array<[password: string, reason: string | undefined, rules?: Partial<PasswordRules>]> = [
    ['correct horse battery staple', undefined],
    ['no composition rules here', undefined],
    ['               x               ', undefined],
    ['пароль из четырёх слов', undefined],
    ['🔑🚪🐴🔋🧷🌍🌋🎈🎹🧊🦊🐙🍋🥁🛶', undefined],
    [generatePassword(), undefined],

    ['', SHORT],
    ['fourteen chars', SHORT],
    ['fifteen  chars!', undefined],
    ['🔑'.repeat(14), SHORT],
    ['e\u0301'.repeat(8) + 'abcdef', SHORT],
    ['short but ok', undefined, { minLength: 12 }],

    ['xy'.repeat(400) + 'z'.repeat(224), undefined],
    ['xy'.repeat(400) + 'z'.repeat(225), LONG],
    ['é'.repeat(513), LONG],
    ['\ufdfa'.repeat(100), LONG],

    ['fifteen chars \ud800', NOT_UNICODE],
    ['\udc00 fifteen chars', NOT_UNICODE],

    ['password', COMMON, { minLength: 8 }],
    ['PassWord', COMMON, { minLength: 8 }],
    ['\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44', COMMON, { minLength: 8 }],
    ['1qaz2wsx3edc4rfv', COMMON],
    ['1QAZ2wsx3edc4rfv', COMMON],
    ['password is not the whole', undefined],
    ['passwordpassword', COMMON],
    ['letmeinletmeinletmein', REPEATS_COMMON],
    ['LetmeinLetmeinLet', REPEATS_COMMON],

    ['maria.silva.1984', USERNAME, { username: 'Maria.Silva.1984' }],
    ['mariamariamaria', REPEATS_COMMON],
    ['xavierxxavierxxavierx', USERNAME, { username: 'XavierX' }],
    ['maria.silva.1984', USERNAME, { username: 'maria.silva.1984@example.com' }],
    ['maria.silva.1984@example.com', USERNAME, { username: 'maria.silva.1984@example.com' }],
    ['maria.silva.1984 likes tea', undefined, { username: 'maria.silva.1984' }],
    ['correct horse battery', undefined, { username: '' }],
    ['correct horse battery', undefined, { username: '@' }],

    ['latchkeylatchkey', CONTEXT, { context: ['example', 'Latchkey'] }],
    ['latchkeylatchkeyla', CONTEXT, { context: ['latchkey'] }],
    ['the latchkey is under the mat', undefined, { context: ['latchkey', ''] }],

    ['aaaaaaaaaaaaaaa', REPEATS],
    ['abcabcabcabcabc', REPEATS],
    ['abcabcabcabcabca', REPEATS],
    ['🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑', REPEATS],
    ['horsebatteryhorsebattery', REPEATS],
    ['correct horse battery correct horse battery ', undefined],

    ['abcdefghijklmno', SEQUENCE],
    ['ABCDEFGHIJKLMNO', SEQUENCE],
    ['onmlkjihgfedcba', SEQUENCE],
    ['nopqrstuvwxyzabcd', SEQUENCE],
    ['123456789012345', SEQUENCE],
    ['987654321098765', SEQUENCE],
    ['qwertyuiopasdfg', SEQUENCE],
    ['mnbvcxzlkjhgfdsa', SEQUENCE],
    ['uvwxyz0123456789', SEQUENCE],
    ['abcdefghijklmnoq', undefined]
  ]
  for (const [password, reason, rules] of table) {
    const name = `${JSON.stringify(password.slice(0, 40))} (${password.length}) ${JSON.stringify(rules ?? {})}`
    t.equal(checkPassword(password, { minLength: 15, ...rules }), reason, name)
  }
})

t.test('one and the same answer for each Unicode form', async (t) => {
  const rules = { minLength: 15, username: 'Andr\u00e9-Fran\u00e7ois.D' }
  t.equal(checkPassword('andre\u0301-franc\u0327ois.d', rules), USERNAME)
})

t.test('the bound is the one that is exported', async (t) => {
  t.equal(MAX_PASSWORD_BYTES, 1024)
})

t.test('the longest password is checked in no time', async (t) => {
  const before = process.hrtime.bigint()
  checkPassword('a'.repeat(MAX_PASSWORD_BYTES - 1) + 'b', { minLength: 15, username: 'a', context: ['aa', 'aaa'] })
  t.ok(process.hrtime.bigint() - before < 1_000_000_000n)
})

t.test('the dictionary is loaded by the first check, not before', async (t) => {
  const script = `
    const { createRequire } = await import('node:module')
    const { cache } = createRequire(${JSON.stringify(import.meta.url)})
    const loaded = () => Object.keys(cache).some((file) => file.includes('language-common'))
    const { checkPassword } = await import(${JSON.stringify(new URL('../../../lib/passwords/policy.js', import.meta.url).href)})
    const before = loaded()
    checkPassword('correct horse battery', { minLength: 15 })
    console.log(before, loaded())`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  t.equal(stdout.trim(), 'false true')
})

t.test('generated passwords', async (t) => {
  const made = Array.from({ length: 50 }, generatePassword)
  for (const password of made) t.match(password, /^[A-Za-z0-9_-]{24}$/)
  t.equal(new Set(made).size, 50)
})
