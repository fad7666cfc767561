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
    ['Administrator123!', because('a common word')],
    ['\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff441234567', COMMON],
    ['1qaz2wsx3edc4rfv', COMMON],
    ['iloveyou1234567', COMMON],
    ['qwerty123456789', COMMON],
    ['administrator123', because('a common word')],
    ['dragonmonkeybaseball', because('words that belong together')],
    ['mypasswordispassword', COMMON],
    ['passwordpassword', because('one of the most common passwords, repeated')],

    ['correct horse battery staple', KNOWN],
    ['correcthorsebatterystaple', KNOWN],
    ['Correct-Horse-Battery-Staple1', KNOWN],
    ['CorrectHorseBatteryStaple!2026', KNOWN],
    ['c0rrect h0rse b4ttery 5taple', KNOWN],
    ['staple battery horse correct', KNOWN],
    ['correct1horse2battery3staple4', KNOWN],
    ['another horse battery staple', KNOWN],
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

t.test('common passwords in other spellings, repeated, or of several common words', async (t) => {
  const weak = [
    '1q2w3e4r5t6y7u8i9o', '!QAZ2wsx#EDC4rfv', 'йцукенгшщзхъфыва', 'Надежда12345678', 'p.a.s.s.w.o.r.d.1',
    'p a s s w o r d 1 2', 'pàsswòrd1234567', 'Welcome2024!Welcome', 'Covid19Covid19Covid', 'JohnSmith1985!!',
    'ThisIsAPassword1', 'VerySecurePassword1', 'SuperSecretPassword!', 'mypasswordissecure', '31415926535897932',
    '3.14159265358979323', 'supercalifragilisticexpialidocious', 'antidisestablishmentarianism',
    'onetwothreefourfive', 'MondayTuesdayWednesday', 'hello world hello world', '01/01/1990 01/01/1990',
    'staple battery horse', 'correct horse battery 1', 'cörrect hörse bättery', 'let it go let it go',
    'in the beginning god', 'difference engine', 'pickle umbrella', 'Bitcoin2024Bitcoin', 'dontpanic42dontpanic'
  ]
  for (const password of weak) t.match(findWeakness(password, { minLength: 15 }), /^It is too easy/, password)
})

t.test('three unrelated words, other languages and random characters pass', async (t) => {
  const good = [
    'lantern cobalt walrus', 'velvet-cactus-orbit', 'blue otter violin', 'weird lantern cobalt 1',
    'vivid turnip carousel mitten', 'Ein Zaunkönig frisst Lakritz', 'bicicleta verde nevera triste',
    'мой кот ест зелёные шторы', '正しい馬の電池はとても美味しい夏', 'kX9#mQ2$vL7@pR4', '7f3b9c2e1d8a4056',
    'hjkq wnzv tmbx pdfg', 'gEr7!tuna-Lamp42x', '0b5e7a1c-93d4-4f62', '3 blind mice ate my cheddar'
  ]
  for (const password of good) t.equal(findWeakness(password, { minLength: 15 }), undefined, password)
})

t.test('random digits are no passphrase', async (t) => {
  const random = ['834166083683668118382871', '7098849325946955989976020593561815170374498568396755476055260697']
  for (const password of random) t.equal(findWeakness(password, { minLength: 15 }), undefined, password)
})

t.test('a long password is as strong as its beginning or its end, and nothing else is analysed', async (t) => {
  const strong = 'kX9#mQ2$vL7@pR4!tuna-Lamp42x'
  t.equal(findWeakness('a'.repeat(64) + strong, { minLength: 15 }), undefined)
  t.equal(findWeakness(strong + 'a'.repeat(200), { minLength: 15 }), undefined)
  t.equal(findWeakness('a'.repeat(1_000), { minLength: 15 }), REPEATS)
  const middle = 'a'.repeat(64) + strong + 'a'.repeat(64)
  // With all of its characters a long password would take seconds to minutes.
  t.equal(findWeakness(middle, { minLength: 15 }), REPEATS)
})
