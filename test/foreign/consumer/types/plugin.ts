// A part of the app that brings a scope of its own.
declare module 'fastify-latchkey' {
  interface Scopes { 'reports:read': string }
}

export const reportScopes = { 'reports:read': 'Read reports' }
