// The one declaration of an app's scopes: for the option, and for the types.
export const catalogue = { admin: 'Administer everything', 'items:read': 'Read items' }

type Catalogue = typeof catalogue
declare module 'fastify-latchkey' {
  interface Scopes extends Catalogue {}
}
