import { MAX_CLIENT_NAME_LENGTH } from '../../schemas/clients.js'
import { findInvisible, hasStraySpace, nameCharacter } from '../identity/visible-text.js'

/** Returns why a text cannot be a client's name, in a sentence that names the character, or undefined if it can. */
export function findClientNameProblem (name: string): string | undefined {
  if (name === '' || name.length > MAX_CLIENT_NAME_LENGTH) {
    return `A client's name must have 1 to ${MAX_CLIENT_NAME_LENGTH} characters.`
  }
  const invisible = findInvisible(name)
  if (invisible !== undefined) return `A client's name cannot contain ${nameCharacter(invisible)}.`
  if (!hasStraySpace(name)) return undefined
  return "A client's name cannot begin or end with a space, or contain two spaces in a row."
}
