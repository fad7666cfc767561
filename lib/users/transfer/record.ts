import { Ajv } from 'ajv'
import type { ValidateFunction } from 'ajv'
import { USER_COLUMNS, UserRecord } from '../../../schemas/users.js'
import { FORMATS } from '../../identity/json-formats.js'
import { findHashProblem } from '../../passwords/formats/formats.js'

let compiled: ValidateFunction<UserRecord> | undefined

/** Called for the first row only, so that a process without an import does not compile the schema. */
function compile (): ValidateFunction<UserRecord> {
  return new Ajv({ strict: false, formats: FORMATS }).compile<UserRecord>(UserRecord)
}

/**
 * Returns what is wrong with a row that should be a `UserRecord`, or undefined if nothing is. It never quotes the row,
 * which may contain a password.
 */
export function checkRecord (value: unknown): string | undefined {
  const validate = compiled ??= compile()
  if (!validate(value)) {
    const { keyword, instancePath } = validate.errors?.[0] ?? {}
    const name = instancePath?.split('/')[1] as keyof UserRecord | undefined
    if (name !== undefined) return describe(name)
    if (keyword === 'additionalProperties') return `it has a member other than ${USER_COLUMNS.join(', ')}`
    return keyword === 'required' ? 'it has no username' : 'it is not a JSON object'
  }
  if (value.password !== undefined && value.password_hash !== undefined) {
    return 'it has both password and password_hash: give only one'
  }
  const problem = value.password_hash === undefined ? undefined : findHashProblem(value.password_hash)
  return problem === undefined ? undefined : `its password_hash ${problem}`
}

function describe (name: keyof UserRecord): string {
  return `its ${name} must be ${(UserRecord.properties[name] as { description?: string }).description}`
}
