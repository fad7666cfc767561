// Types alone: the client for browsers shares them, and must not load anything for it.

/**
 * The scopes of an app as types: empty until the app declares them. From then on a misspelt scope does not compile.
 *
 *     type Catalogue = typeof catalogue
 *     declare module 'fastify-latchkey' {
 *       interface Scopes extends Catalogue {}
 *     }
 *
 * Each entry of the package that re-exports this file can be named there, but one of them only in a program: of two the compiler forgets one.
 */
export interface Scopes {}

/** The scopes that Latchkey's own routes ask for. */
export type BuiltInScope = 'users:read' | 'users:write' | 'clients:write' | 'tokens:introspect' | 'revocations:read' | 'audit:read' | 'metrics:read'

/** The name of a scope: a built-in or a declared one, or any text where the app has declared none. */
export type Scope = [keyof Scopes] extends [never] ? string : BuiltInScope | Extract<keyof Scopes, string>

/** The option `scopes`: a description for each scope. Exactly the declared ones, where the app has declared any. */
export type ScopeCatalogue = Record<[keyof Scopes] extends [never] ? string : Extract<keyof Scopes, string>, string>
