import { Ajv } from 'ajv'
import type { ValidateFunction } from 'ajv'
import { USER_COLUMNS, UserRecord } from '../../../schemas/users.js'
import { FORMATS } from '../../identity/json-formats.js'
import { isSupportedHash } from '../../passwords/hash-format.js'

let compiled: ValidateFunction<UserRecord> | undefined

/** For the first row: a process that imports nobody does without. */
function compile (): ValidateFunction<UserRecord> {
  return new Ajv({ strict: false, formats: FORMATS }).compile<UserRecord>(UserRecord)
}

/** What is wrong with a row that should be a `UserRecord`; undefined where nothing is. Never what the row says: that may be a password. */
export function checkRecord (value: unknown): string | undefined {
  const validate = compiled ??= compile()
  if (!validate(value)) {
    const { keyword, instancePath } = validate.errors?.[0] ?? {}
    const name = instancePath?.split('/')[1] as keyof UserRecord | undefined
    if (name !== undefined) return describe(name)
    if (keyword === 'additionalProperties') return `it has a member that is none of ${USER_COLUMNS.join(', ')}`
    return keyword === 'required' ? 'it has no username' : 'it is no JSON object'
  }
  if (value.password !== undefined && value.password_hash !== undefined) return 'it has both password and password_hash: give one'
  if (value.password_hash !== undefined && !isSupportedHash(value.password_hash)) return 'its password_hash is none that can be taken: bcrypt ($2a$, $2b$, $2y$) or bcrypt_sha256 of passlib, at a cost of 4 to 20'
  return undefined
}

function describe (name: keyof UserRecord): string {
  return `its ${name} must be ${(UserRecord.properties[name] as { description?: string }).description}`
}
