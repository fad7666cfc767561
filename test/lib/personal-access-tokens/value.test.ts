import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createValue, hashValue, isKey, isWellFormed } from '../../../lib/personal-access-tokens/value.js'

t.test('values are different, well formed and not guessable', async t => {
  const values = Array.from({ length: 1_000 }, createValue)
  t.equal(new Set(values).size, 1_000)
  for (const value of values) t.ok(isWellFormed(value) && isKey(value))
  t.equal(new Set(values.map(hashValue)).size, 1_000)
  const digits = new Set(values.flatMap(value => [...value.slice(4, 40)]))
  t.equal(digits.size, 62, 'every digit is used')
})

t.test('one changed character, and two that are swapped, are found out', async t => {
  const value = createValue()
  for (let place = 4; place < value.length; place++) {
    const other = value[place] === 'x' ? 'y' : 'x'
    t.notOk(isWellFormed(value.slice(0, place) + other + value.slice(place + 1)))
    const swapped = [...value]
    swapped.splice(place - 1, 2, value[place] ?? '', value[place - 1] ?? '')
    if (swapped.join('') !== value) t.notOk(isWellFormed(swapped.join('')))
  }
  for (const text of ['', 'lkp_', `${value} `, ` ${value}`, `${value}\n`, value.slice(4), value.repeat(2)]) {
    t.notOk(isWellFormed(text), JSON.stringify(text))
  }
})

t.test('the examples in the documents have a right checksum', async t => {
  for (const file of ['docs/personal-access-tokens.md', 'openapi.json', 'README.md']) {
    const text = readFileSync(join(import.meta.dirname, '..', '..', '..', '..', file), 'utf8')
    for (const [value] of text.matchAll(/lkp_[0-9A-Za-z]{6,}/g)) t.ok(isWellFormed(value), `${file}: ${value}`)
  }
})
