import t from 'tap'
import { maskPath } from '../../../lib/http/masked-path.js'

const TOKEN = `eyJ${'hbGciOiJFUzI1NiJ9'.repeat(20)}.${'eyJzdWIiOiIxIn0'.repeat(20)}.c2ln`

/** Writes each character as a percent escape. */
const escape = (text: string): string => [...text].map(character => `%${character.charCodeAt(0).toString(16)}`).join('')

t.test('a path without a token stays as it is, without the query', async t => {
  for (const path of ['', '/', '*', '/users/me', '/a//b/', '/a%20b+c;d=e', '/%', '/%zz', '/%e', '/%E0%A4%A',
    '/eyj/LKR_/lks-', '/\u00ff']) {
    t.equal(maskPath(path), path, path)
    t.equal(maskPath(`${path}?token=${TOKEN}?`), path, `${path} with a query`)
  }
})

t.test('a segment with a token is masked, however it is encoded', async t => {
  const spellings = [TOKEN, 'lkr_abc', 'lks_abc', 'eyJ', `;jsessionid=${TOKEN}`, `a=${TOKEN};b=1`, `x${TOKEN}`, escape(
    TOKEN
  ), escape(escape(
    TOKEN
  )), escape('eyJ').toUpperCase(), `%65yJ${TOKEN.slice(3)}`, `e%79%4A${TOKEN.slice(3)}`,
    `%2565yJ${TOKEN.slice(3)}`, '%25252525252525256cks_abc', '%2%35%36%35yJ', `a%2F${TOKEN}`, `%zz${TOKEN}`, `%${TOKEN}`, '%00lkr_abc%00']
  for (const spelling of spellings) {
    t.equal(
      maskPath(`/reset/${spelling}/confirm?a`), '/reset/(token)/confirm', spelling.slice(0, 60)
    )
  }
  t.equal(maskPath(`/${TOKEN}/${TOKEN}`), '/(token)/(token)')
  t.equal(maskPath(TOKEN), '(token)', 'also if it is not a path')
})

t.test('a long path is cut after masking', async t => {
  t.equal(maskPath(`/${'x'.repeat(5_000)}`), `/${'x'.repeat(255)}...`)
  t.equal(maskPath(`/${'x/'.repeat(127)}${TOKEN}`), `/${'x/'.repeat(127)}(...`)
})

t.test('no path takes long, even the worst of the longest that the service reads', async t => {
  for (const path of [
    'eyJ'.repeat(2_600) + '.' + 'x'.repeat(7_800), '%25'.repeat(5_400), `${'%25'.repeat(5_400)}65yJ`,
    `%${'25'.repeat(8_000)}`, '/'.repeat(16_384), '/%65yJ'.repeat(2_700), 'lkr'.repeat(5_400)
  ]) {
    const before = process.cpuUsage()
    for (let time = 0; time < 20; time++) maskPath(`/${path}`)
    const { user, system } = process.cpuUsage(before)
    t.ok(
      (user + system) / 1_000 / 20 < 25,
      `${path.slice(0, 20)}: ${(user + system) / 1_000 / 20} ms; it takes 1 ms, and a quadratic search takes 90`
    )
  }
})
