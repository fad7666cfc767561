import { Type } from 'typebox'
import { ALGORITHMS } from '../algorithms.js'
import { DURATION_PATTERN } from './formats.js'

/** What signs tokens and seals secrets. */
export const keys = {
  /**
   * The secret that the symmetric keys are derived from, at least 32 bytes. Use a list to rotate: the first secret
   * signs and seals, all verify and unseal. Default: created at first start, in a file of mode 0600 beside the
   * database. With PostgreSQL it is required, and must be the same on every node.
   */
  secret: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], {
    description: 'The secret that the symmetric keys are derived from, at least 32 bytes. Use a list to rotate: the ' +
      'first secret signs and seals, all verify and unseal. Default: created at first start, in a file of mode 0600 ' +
      'beside the database. With PostgreSQL it is required, and must be the same on every node.',
    env: 'LATCHKEY_SECRET',
    list: true,
    expects: 'at least 32 bytes of text, or a list of such texts'
  })),
  /**
   * The algorithm that signs access tokens. Stored keys of other algorithms still verify until they are revoked.
   * Default `ES256`.
   */
  algorithm: Type.Optional(Type.Enum(ALGORITHMS, {
    description: 'The algorithm that signs access tokens. Stored keys of other algorithms still verify until they ' +
      'are revoked.',
    default: 'ES256',
    env: 'LATCHKEY_ALGORITHM',
    expects: ALGORITHMS.join(', ')
  }))
}

/** When the next key signs. */
export const rotation = {
  /**
   * How long a key signs before the next one replaces it, at least `1h`, or `never`. The next key is published before
   * it signs. The previous key stays published until its last token expires. Default `90d`.
   */
  keyRotation: Type.Optional(Type.String({
    pattern: `^never$|${DURATION_PATTERN}`,
    description: 'How long a key signs before the next one replaces it, at least `1h`, or `never`. The next key is ' +
      'published before it signs. The previous key stays published until its last token expires.',
    default: '90d',
    env: 'LATCHKEY_KEY_ROTATION',
    expects: "a duration such as 12h or 90d, at least 1h, or 'never'"
  }))
}
