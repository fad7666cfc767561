import t from 'tap'
import { findClientNameProblem } from '../../../lib/clients/names.js'

t.test('a client can have any visible name', async t => {
  const spaces = "A client's name cannot begin or end with a space, or contain two spaces in a row."
  const length = "A client's name must have 1 to 128 characters."
  const table: Array<[name: string, problem: string | undefined]> = [
    ['billing', undefined], ['Billing – EU (test) ✓', undefined], ['ÄÖ 山田', undefined], ['x'.repeat(128), undefined],
    ['', length], ['x'.repeat(129), length], [' x', spaces], ['x ', spaces], ['x  y', spaces],
    ['bill\u200Bing', "A client's name cannot contain U+200B (an invisible character)."],
    ['billing\u202E', "A client's name cannot contain U+202E (an invisible character)."],
    ['billing\u2800', "A client's name cannot contain U+2800 (a blank character)."],
    ['bill\u00A0ing', "A client's name cannot contain U+00A0 (a space other than U+0020)."],
    ['bill\ning', "A client's name cannot contain U+000A (a control character)."],
    ['billing\uE000', "A client's name cannot contain U+E000 (a private-use character)."],
    ['billing\u0378', "A client's name cannot contain U+0378 (an unassigned character)."]
  ]
  for (const [name, problem] of table) t.equal(findClientNameProblem(name), problem, JSON.stringify(name))
})
