import t from 'tap'
import { generatePassword } from '../../../lib/passwords/policy.js'
import { findWeakness } from '../../../lib/passwords/strength.js'

const because = (reason: string): string =>
  `It is too easy to guess: it contains ${reason}. Choose a longer one, or several unrelated words.`
const COMMON = because('one of the most common passwords')
const KNOWN = because('a well-known passphrase')
const NAME = because('the username or the name of the service')
const SEQUENCE = because('a simple sequence of characters')
const REPEATS = because('a part that repeats')

t.test('passwords and reasons', async (t) => {
  const table: Array<[password: string, reason: string | undefined, username?: string]> = [
    ['marble otter sings at noon', undefined],
    ['no composition rules here', undefined],
    ['пароль из четырёх слов', undefined],
    ['🔑🚪🐴🔋🧷🌍🌋🎈🎹🧊🦊🐙🍋🥁🛶', undefined],
    ['password is not the whole', undefined],
    [generatePassword(), undefined],

    ['password1234567', COMMON],
    ['PassWord1234567', COMMON],
    ['P@ssw0rd1234567', COMMON],
    ['Password1234567!', COMMON],
    ['Administrator123!', COMMON],
    ['difference engine', undefined],
    ['\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff441234567', COMMON],
    ['1qaz2wsx3edc4rfv', COMMON],
    ['iloveyou1234567', COMMON],
    ['qwerty123456789', COMMON],
    ['administrator123', COMMON],
    ['dragonmonkeybaseball', COMMON],
    ['mypasswordispassword', COMMON],
    ['passwordpassword', because('one of the most common passwords, repeated')],

    ['correct horse battery staple', KNOWN],
    ['correcthorsebatterystaple', KNOWN],
    ['Correct-Horse-Battery-Staple1', KNOWN],
    ['CorrectHorseBatteryStaple!2026', KNOWN],
    ['c0rrect h0rse b4ttery 5taple', KNOWN],
    ['staple battery horse correct', KNOWN],
    ['correct1horse2battery3staple4', KNOWN],
    ['another horse battery staple', undefined],
    ['incorrect horse battery staple', KNOWN],
    ['thequickbrownfoxjumps', KNOWN],
    ['to be or not to be', KNOWN],
    ['a longer horse, and another battery', KNOWN],
    ['choose your own passphrase', KNOWN],
    ['correct horse battery staple gJ8-fkLz_02k', undefined],

    ['maria.silva.1984', NAME, 'Maria.Silva.1984'],
    ['maria.silva.1984', NAME, 'maria.silva.1984@example.com'],
    ['xavierxxavierxxavierx', because('the username or the name of the service, repeated'), 'XavierX'],
    ['andre\u0301-franc\u0327ois.d', NAME, 'Andr\u00e9-Fran\u00e7ois.D'],
    ['maria.silva.1984 likes tea', undefined, 'maria.silva.1984'],
    ['latchkeylatchkey', NAME],
    ['the latchkey is under the mat', undefined],

    ['aaaaaaaaaaaaaaa', REPEATS],
    ['               x               ', REPEATS],
    ['🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑', REPEATS],
    ['xyzw1xyzw1xyzw1xyzw1', REPEATS],
    ['abcdefghijklmno', SEQUENCE],
    ['onmlkjihgfedcba', SEQUENCE],
    ['nopqrstuvwxyzabcd', SEQUENCE]
  ]
  for (const [password, reason, username] of table) {
    t.equal(findWeakness(password, { minLength: 15, username }), reason, `${password} ${username ?? ''}`)
  }
})

t.test('if shorter passwords are allowed, random ones pass and common ones do not', async (t) => {
  t.equal(findWeakness('zq8kfm2p', { minLength: 8 }), undefined)
  for (const password of ['password', 'letmein1', 'qwertyui', 'monkey12']) {
    t.equal(findWeakness(password, { minLength: 8 }), COMMON, password)
  }
})

t.test('only the beginning of a long password is analysed', async (t) => {
  const worst = 'p4$$w0rd1!|7'
  // An analysis of all 1,020 characters would take seconds to minutes.
  t.equal(findWeakness(worst.repeat(85), { minLength: 15 }), findWeakness(worst.repeat(85).slice(0, 64), { minLength: 15 }))
  t.equal(findWeakness('a'.repeat(64) + 'marble otter sings at noon', { minLength: 15 }), REPEATS)
})
