/** Names for kinds of characters. The first row that matches counts. */
const KINDS: ReadonlyArray<readonly [RegExp, string]> = [
  [/\p{Cs}/u, 'half of a surrogate pair'],
  [/\p{Cc}/u, 'a control character'],
  [/\p{Variation_Selector}/u, 'a variation selector'],
  [/\p{Default_Ignorable_Code_Point}/u, 'an invisible character'],
  [/\u2800/u, 'a blank character'],
  [/\p{Noncharacter_Code_Point}/u, 'a noncharacter'],
  [/\p{Co}/u, 'a private-use character'],
  [/\p{Cn}/u, 'an unassigned character'],
  [/\p{Cf}/u, 'a format character'],
  [/[\p{Zl}\p{Zp}]/u, 'a line separator'],
  [/\p{Zs}/u, 'a space other than U+0020'],
  [/\p{M}/u, 'a combining mark'],
  [/\p{S}/u, 'a symbol'],
  [/\p{P}/u, 'punctuation'],
  [/\p{N}/u, 'a number'],
  [/\p{L}/u, 'a letter']
]

/** Characters that a reader cannot see, or cannot tell apart from others. */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u

/**
 * Returns a name for a character that is safe in a terminal and in a log, for example `U+FE0F (a variation selector)`.
 */
export function nameCharacter (character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  const [, kind] = KINDS.find(([pattern]) => pattern.test(character)) ?? []
  return kind === undefined ? `U+${code}` : `U+${code} (${kind})`
}

/** Returns the first character that a reader cannot see, or undefined. */
export function findInvisible (text: string): string | undefined {
  return INVISIBLE.exec(text)?.[0]
}

/** Whether a text has a space at an end or beside another space. Two names that differ only by it look the same. */
export function hasStraySpace (text: string): boolean {
  return text.startsWith(' ') || text.endsWith(' ') || text.includes('  ')
}
