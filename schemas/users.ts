import { Type } from 'typebox'
import type { Static } from 'typebox'
import { NewPassword, Password, Username } from './common.js'

/** A user, as the user may see it. */
export const Account = Type.Object({
  id: Type.String(),
  username: Type.String(),
  scopes: Type.Array(Type.String(), { description: 'All that is granted; a token may carry fewer.' })
})
export type Account = Static<typeof Account>

/** The body of `POST /register`. Scopes can never be asked for. */
export const RegisterRequest = Type.Object({ username: Username, password: NewPassword }, { additionalProperties: false })

/** The body of `PUT /users/me/password`. */
export const PasswordChange = Type.Object({ current_password: Password, new_password: NewPassword }, { additionalProperties: false })
