import { Type } from 'typebox'

/** How passwords are hashed, and which routes accept them. */
export const passwords = {
  /**
   * The bcrypt cost of new password hashes. Each step doubles the time. A login replaces a cheaper hash. Use less than
   * 10 only in tests. Default 12.
   */
  bcryptCost: Type.Optional(Type.Integer({
    minimum: 4,
    maximum: 20,
    description: 'The bcrypt cost of new password hashes. Each step doubles the time. A login replaces a cheaper ' +
      'hash. Use less than 10 only in tests.',
    default: 12,
    env: 'LATCHKEY_BCRYPT_COST',
    expects: 'a whole number from 4 to 20'
  })),
  /**
   * The minimum length of a new password, in characters (NIST SP 800-63B-4 section 3.1.1.2: 15 if it is the only
   * factor). Default 15.
   */
  passwordMinLength: Type.Optional(Type.Integer({
    minimum: 8,
    maximum: 128,
    description: 'The minimum length of a new password, in characters (NIST SP 800-63B-4 section 3.1.1.2: 15 if it ' +
      'is the only factor).',
    default: 15,
    env: 'LATCHKEY_PASSWORD_MIN_LENGTH',
    expects: 'a whole number from 8 to 128'
  })),
  /**
   * Whether anyone may create an account at `POST /register`: `true` for accounts without scopes, or
   * `{ scopes: ['items:read'] }` for accounts with these scopes of your app. Default false.
   */
  registration: Type.Optional(Type.Union([
    Type.Boolean(),
    Type.Object({
      /** The scopes of each new account. */
      scopes: Type.Array(Type.String(), {
        uniqueItems: true,
        description: 'The scopes of each new account, without built-in scopes. In the environment, also set ' +
          '`LATCHKEY_REGISTRATION=true`.',
        env: 'LATCHKEY_REGISTRATION_SCOPES',
        list: true,
        expects: 'a list of your own scopes'
      })
    }, { additionalProperties: false })
  ], {
    description: 'Whether anyone may create an account at `POST /register`: `true` for accounts without scopes, or ' +
      "`{ scopes: ['items:read'] }` for accounts with these scopes of your app.",
    default: false,
    env: 'LATCHKEY_REGISTRATION',
    expects: 'true or false, or an object with a list of your own scopes'
  })),
  /**
   * Whether `POST /token` accepts a username and a password (`grant_type=password`). RFC 9700 section 2.4 restricts
   * that to first-party apps. `POST /login` exists in either case. Default true.
   */
  passwordGrant: Type.Optional(Type.Boolean({
    description: 'Whether `POST /token` accepts a username and a password (`grant_type=password`). RFC 9700 section ' +
      '2.4 restricts that to first-party apps. `POST /login` exists in either case.',
    default: true,
    env: 'LATCHKEY_PASSWORD_GRANT',
    expects: 'true or false'
  })),
  /**
   * Whether the routes that take a password limit requests to 100 a minute per address, and slow down consecutive
   * failures per account. Default true.
   */
  rateLimit: Type.Optional(Type.Boolean({
    description: 'Whether the routes that take a password limit requests to 100 a minute per address, and slow down ' +
      'consecutive failures per account.',
    default: true,
    env: 'LATCHKEY_RATE_LIMIT',
    expects: 'true or false'
  }))
}
