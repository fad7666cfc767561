/** What an import accepts in the tokens of an older system that we would not sign ourselves. */
export interface Leniency {
  /** The claim that holds the id of the user. Default: `sub`. */
  subjectClaim?: string
  /** The id may be an integer. It becomes text. Default: only text is accepted. */
  numericSubject?: boolean
  /**
   * Tokens without `exp` are accepted until this many milliseconds after their `iat`. Default: tokens without `exp` are
   * refused.
   */
  maxAge?: number
  /**
   * The HS256 secret may be shorter than 32 bytes. Anyone who guesses it can make tokens for any user. Default: it is
   * refused.
   */
  allowShortSecret?: boolean
}

/** Formats what an import accepts for its row. Members without effect are left out, so equal rules have equal texts. */
export function formatLeniency (
  { subjectClaim, numericSubject, maxAge, allowShortSecret }: Leniency
): string | null {
  const text = JSON.stringify({
    subjectClaim: subjectClaim === 'sub' ? undefined : subjectClaim,
    numericSubject: numericSubject === true ? true : undefined,
    maxAge,
    allowShortSecret: allowShortSecret === true ? true : undefined
  })
  return text === '{}' ? null : text
}

/** Reads what `formatLeniency` wrote. The seal of the key protects it, so only the row of a damaged key differs. */
export function readLeniency (text: string | null): Leniency {
  try {
    return JSON.parse(text ?? '{}') as Leniency
  } catch {
    return {}
  }
}
