/**
 * Whether a client asks for a media type by its name. A client that accepts any type does not.
 * @param accept - the `Accept` header.
 * @param type - in lower case.
 */
export function asksFor (accept: string | undefined, type: string): boolean {
  return (accept ?? '').split(',').some(range => {
    const [name, ...parameters] = range.split(';').map(part => part.trim().toLowerCase())
    return name === type && !parameters.some(parameter => /^q\s*=\s*0(\.0*)?$/.test(parameter))
  })
}
