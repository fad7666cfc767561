import { Type } from 'typebox'
import type { Static } from 'typebox'
import {
  DateTime, MAX_ROLE_LENGTH, MAX_ROLES, MAX_SCOPES, MAX_USERNAME_LENGTH,
  NewPassword, NewUsername, PageLimit, Password, SCOPE_PATTERN
} from './common.js'
import { EXAMPLE, EXAMPLE_ACCOUNT } from './examples.js'

/** The account of a user, as the user sees it. */
export const Account = Type.Object({
  id: Type.String(),
  username: Type.String(),
  scopes: Type.Array(Type.String(), {
    description: 'All granted scopes, including those of the roles. A token can carry fewer.'
  }),
  roles: Type.Array(Type.String(), { description: 'The roles that the user holds.' })
}, { title: 'Account', description: 'The account of a user, as the user sees it.', examples: [EXAMPLE_ACCOUNT] })
export type Account = Static<typeof Account>

/** The body of `POST /register`. It can never ask for scopes. */
export const RegisterRequest = Type.Object(
  { username: NewUsername, password: NewPassword },
  {
    title: 'RegisterRequest',
    additionalProperties: false,
    examples: [{ username: EXAMPLE.username, password: EXAMPLE.password }]
  }
)

/** The body of `PUT /users/me/password`. */
export const PasswordChange = Type.Object(
  { current_password: Password, new_password: NewPassword },
  {
    title: 'PasswordChange',
    additionalProperties: false,
    examples: [{ current_password: EXAMPLE.password, new_password: EXAMPLE.newPassword }]
  }
)

const EXAMPLE_USER = {
  ...EXAMPLE_ACCOUNT,
  disabled: false,
  created_at: EXAMPLE.earlier,
  password_changed_at: EXAMPLE.earlier
}

/** A user, as an administrator sees it. */
export const UserView = Type.Object({
  id: Type.String(),
  username: Type.String(),
  scopes: Type.Array(Type.String(), {
    description: 'The scopes that are granted to the account itself, without those of its roles.'
  }),
  roles: Type.Array(Type.String(), {
    description: 'The roles that the user holds. A role that the service no longer has grants nothing.'
  }),
  disabled: Type.Boolean({ description: 'Whether the user is prevented from logging in.' }),
  created_at: DateTime,
  password_changed_at: DateTime
}, { title: 'User', description: 'A user, as an administrator sees it.', examples: [EXAMPLE_USER] })

/** A page of users, by name. */
export const UserPage = Type.Object(
  {
    users: Type.Array(UserView),
    next: Type.Union([
      Type.String({ description: 'The `cursor` of the next page, or null on the last page.' }),
      Type.Null()
    ])
  },
  { title: 'UserPage', description: 'A page of users, by name.', examples: [{ users: [EXAMPLE_USER], next: null }] }
)

/** The query of `GET /users`. */
export const UsersQuery = Type.Object(
  {
    search: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: MAX_USERNAME_LENGTH,
        pattern: '^[^\\p{Cs}]*$',
        description: 'The beginning of the username. Letter case does not matter.'
      })
    ),
    cursor: Type.Optional(
      Type.String({ maxLength: 1_024, pattern: '^[A-Za-z0-9_-]+$', description: 'The `next` of the previous page.' })
    ),
    limit: Type.Optional(PageLimit)
  },
  { additionalProperties: false }
)

/** The id can be any text, because the host chooses the ids of its own accounts. */
export const UserParams = Type.Object({ id: Type.String() })

const Scopes = Type.Array(Type.String({ minLength: 1, maxLength: 256, pattern: SCOPE_PATTERN }), {
  maxItems: MAX_SCOPES,
  description: 'All scopes of the user, besides those of the roles.'
})

const Roles = Type.Array(Type.String({ minLength: 1, maxLength: MAX_ROLE_LENGTH, pattern: SCOPE_PATTERN }), {
  maxItems: MAX_ROLES,
  description: 'All roles of the user.'
})

/** The body of `POST /users`. */
export const NewUser = Type.Object(
  { username: NewUsername, password: NewPassword, scopes: Type.Optional(Scopes), roles: Type.Optional(Roles) },
  {
    title: 'NewUser',
    additionalProperties: false,
    examples: [{ username: EXAMPLE.username, password: EXAMPLE.password, scopes: ['items:read'] }]
  }
)

/** The body of `PATCH /users/:id`. All changes are made, or none. */
export const UserPatch = Type.Object(
  {
    username: Type.Optional(NewUsername),
    scopes: Type.Optional(Scopes),
    roles: Type.Optional(Roles),
    disabled: Type.Optional(Type.Boolean({ description: 'Whether to prevent the user from logging in.' })),
    password: Type.Optional(NewPassword)
  },
  {
    title: 'UserPatch',
    additionalProperties: false,
    minProperties: 1,
    examples: [{ scopes: ['items:read'], disabled: false }]
  }
)

/**
 * A user in a file of `latchkey users import` and `latchkey users export`. The description of a member completes an
 * error message: what the value must be. An id becomes the `sub` of tokens and a part of paths. `me` is already a path,
 * `latchkey` is the first-party client, and an id that begins with `lkc_` is a machine client (RFC 9068 section 5).
 */
export const UserRecord = Type.Object({
  id: Type.Optional(Type.String({
    pattern: '^(?!me$|latchkey$|lkc_)[A-Za-z0-9_][A-Za-z0-9._~@:+|-]{0,127}$',
    description: '1 to 128 of the characters A-Z a-z 0-9 . _ ~ @ : + | -, beginning with a letter, a digit or _; ' +
      "not 'me', 'latchkey', or an id that begins with 'lkc_'"
  })),
  username: Type.String({
    minLength: 1,
    maxLength: MAX_USERNAME_LENGTH,
    description: `text of 1 to ${MAX_USERNAME_LENGTH} characters`
  }),
  password_hash: Type.Optional(Type.String({ maxLength: 512, description: 'text' })),
  password: Type.Optional(Type.String({
    minLength: 1,
    maxLength: 1_024,
    description: 'text of 1 to 1,024 characters'
  })),
  scopes: Type.Optional(Type.Array(
    Type.String({ minLength: 1, maxLength: 256 }),
    { maxItems: MAX_SCOPES, description: `a list of at most ${MAX_SCOPES} names of scopes` }
  )),
  roles: Type.Optional(Type.Array(
    Type.String({ minLength: 1, maxLength: MAX_ROLE_LENGTH }),
    { maxItems: MAX_ROLES, description: `a list of at most ${MAX_ROLES} names of roles` }
  )),
  disabled: Type.Optional(Type.Boolean({ description: 'true or false' })),
  created_at: Type.Optional(Type.String({
    format: 'date-time',
    description: 'a date and time such as 2026-11-03T12:00:00Z'
  }))
}, { additionalProperties: false })
export type UserRecord = Static<typeof UserRecord>

/** The columns of a CSV file of users. */
export const USER_COLUMNS = Object.keys(UserRecord.properties) as Array<keyof UserRecord>
