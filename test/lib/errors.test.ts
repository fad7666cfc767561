import t from 'tap'
import { LatchkeyError } from '../../lib/errors.js'
import { describeError, ERROR_CODES } from '../../schemas/errors.js'

t.test('the table: codes, statuses and sentences are fit for headers and clients', async t => {
  t.ok(ERROR_CODES.length > 20)
  for (const code of ERROR_CODES) {
    const { status, oauth, message } = describeError(code)
    t.match(code, /^[a-z]+(_[a-z]+)*$/)
    t.ok(status >= 400 && status < 600, `${code}: ${status}`)
    // RFC 6750 section 3: error_description has no double quote and no backslash.
    t.match(message, /^[A-Z][\x20\x21\x23-\x5b\x5d-\x7e]+[.]$/, code)
    t.notMatch(message, /undefined|\$\{/, code)
    if (oauth !== undefined) t.match(oauth, /^[a-z_]+$/, code)
    if (status >= 500) t.notMatch(message, /sqlite|sql|stack|disk/i, `${code} tells nothing of the inside`)
  }
})

t.test('who may be told what', async t => {
  t.equal(describeError('unauthenticated').oauth, undefined, 'a bare challenge: RFC 6750 section 3.1')
  for (const code of ['invalid_token', 'token_expired', 'token_revoked'] as const) {
    t.match(
      describeError(code), { status: 401, oauth: 'invalid_token' }
    )
  }
  t.match(describeError('insufficient_scope'), { status: 403, oauth: 'insufficient_scope' })
  for (const code of ['store_unavailable', 'revocation_unknown', 'overloaded'] as const) {
    t.match(
      describeError(code), { status: 503, oauth: 'temporarily_unavailable' }
    )
  }
})

t.test('an error carries what the table says; its cause is not in what is shown', async t => {
  const cause = new Error('SQLITE_FULL at /secret/path')
  const error = new LatchkeyError('store_unavailable', { cause, retryAfter: 1 })
  t.match(
    error,
    {
      name: 'LatchkeyError',
      code: 'store_unavailable',
      statusCode: 503,
      oauth: 'temporarily_unavailable',
      retryAfter: 1,
      scope: undefined,
      cause
    }
  )
  t.notMatch(error.message, 'SQLITE')
  t.notMatch(JSON.stringify(error), 'SQLITE')
  t.ok(error instanceof Error)
  t.notOk('cause' in new LatchkeyError('invalid_scope'))
  t.match(
    new LatchkeyError('insufficient_scope', { scope: 'a b', message: 'Other words.' }),
    { scope: 'a b', message: 'Other words.', statusCode: 403 }
  )
})
