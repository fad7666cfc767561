import Fastify from 'fastify'
import { requireScopes } from 'fastify-latchkey'
import type { AuthenticatedUser, BuiltInScope, LatchkeyOptions, Scope, ScopeCatalogue } from 'fastify-latchkey'
import { createClient } from 'fastify-latchkey/client'
import { createTestClock, testOptions, withTestKit } from 'fastify-latchkey/testing'
import type { TestKit, TestUser } from 'fastify-latchkey/testing'
import { describe, expect, test } from 'tstyche'
import { catalogue } from './catalogue.js'
import { reportScopes } from './plugin.js'

const app = withTestKit(Fastify())

describe('an app that has declared its scopes', () => {
  test('knows the declared ones and the built-in ones', () => {
    expect<Scope>().type.toBe<'admin' | 'items:read' | 'reports:read' | BuiltInScope>()
    expect<ScopeCatalogue>().type.toBe<Record<'admin' | 'items:read' | 'reports:read', string>>()
  })

  test('requireScopes() takes no misspelt one', () => {
    expect<Parameters<typeof app.requireScopes>>().type.toBe<Scope[]>()
    // @ts-expect-error "itms:read"
    app.requireScopes('admin', 'itms:read')
    // @ts-expect-error "itms:read"
    requireScopes('admin', 'itms:read')
  })

  test('createTestToken() and injectAs() take no misspelt one', () => {
    expect<Parameters<typeof app.createTestToken>[0]>().type.toBe<TestUser>()
    expect<Parameters<typeof app.injectAs>[0]>().type.toBe<TestUser>()
    expect<TestUser>().type.toBeAssignableFrom({ scopes: ['items:read', 'audit:read'] as const })
    expect<TestUser>().type.not.toBeAssignableFrom({ scopes: ['itms:read'] as const })
    // @ts-expect-error "itms:read"
    app.createTestToken({ scopes: ['itms:read'] })
  })

  test('a client asks for no misspelt one', () => {
    const client = createClient({ url: 'https://auth.example.com' })
    expect(client.logIn).type.toBeCallableWith({ username: 'alice', password: '', scopes: ['items:read'] as const })
    expect(client.logIn).type.not.toBeCallableWith({ username: 'alice', password: '', scopes: ['itms:read'] as const })
  })

  test('the option scopes has them all, and no others', () => {
    expect<LatchkeyOptions>().type.toBeAssignableFrom({ ...testOptions, scopes: { ...catalogue, ...reportScopes } })
    expect<LatchkeyOptions>().type.toBeAssignableFrom({})
    expect<LatchkeyOptions>().type.not.toBeAssignableFrom({ scopes: catalogue })
    // @ts-expect-error Object literal may only specify known properties
    const undeclared: LatchkeyOptions = { scopes: { ...catalogue, ...reportScopes, 'itms:write': 'Change items' } }
    expect(undeclared).type.toBe<LatchkeyOptions>()
  })

  test('request.user is there for every handler', () => {
    app.get('/', { onRequest: app.authenticate }, async ({ user }) => {
      expect(user).type.toBe<AuthenticatedUser>()
    })
  })

  test('the clock is what the option now takes', () => {
    expect(createTestClock()).type.toBeAssignableTo<NonNullable<LatchkeyOptions['now']>>()
  })

  test('the kit is on the app that it was given to, and on no other', () => {
    expect(app).type.toBeAssignableTo<TestKit>()
    expect(Fastify()).type.not.toHaveProperty('injectAs')
  })
})
