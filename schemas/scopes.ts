// This file has only types, because the client for browsers shares it and must not load any code for it.

/**
 * The scopes of an app as a type. It is empty until the app declares its scopes. Then a misspelt scope does not
 * compile.
 *
 *     type Catalogue = typeof catalogue
 *     declare module 'fastify-latchkey' {
 *       interface Scopes extends Catalogue {}
 *     }
 *
 * You can name any entry of the package that re-exports this file, but only one in a program. If a program declares the
 * scopes in two entries, the compiler forgets one of them.
 */
export interface Scopes {}

/** The scopes that Latchkey's own routes require. */
export type BuiltInScope =
  | 'users:read'
  | 'users:write'
  | 'clients:write'
  | 'tokens:introspect'
  | 'revocations:read'
  | 'audit:read'
  | 'metrics:read'

/** The name of a scope: a built-in or declared one, or any string if the app has declared none. */
export type Scope = [keyof Scopes] extends [never] ? string : BuiltInScope | Extract<keyof Scopes, string>

/** The option `scopes`: a description for each scope. If the app has declared scopes, it lists exactly those. */
export type ScopeCatalogue = Record<[keyof Scopes] extends [never] ? string : Extract<keyof Scopes, string>, string>
