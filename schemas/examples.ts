/** The values of the examples in the OpenAPI document. They are all about one user, Alice, so that they agree. */
export const EXAMPLE = {
  userId: '0199c2a0-7b1e-7c3d-9a4f-2d5e8b7c6a10',
  sessionId: '0199c2a4-03c8-7f6e-8d21-5b9a0c4e7f32',
  tokenId: '0199c2a4-03c9-7a11-b0e7-94d3f2a1c856',
  clientId: 'lkc_0199c2b17d4a7e52a6c80d1f3b9e5a74',
  clientSecret: 'lks_2vJ0nQ8bR5tXwYz1aC3dE4fG6hI7jK9lM0oP2qS4uTU',
  username: 'alice',
  password: 'choose your own passphrase',
  newPassword: 'choose your own passphrase again',
  scope: 'items:read users:read',
  accessToken: 'eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl',
  refreshToken: 'lkr_AZnCpAPIf26NIVuaDE5_MgAAAAFzaWduYXR1cmU',
  statusList: 'eyJhbGciOiJFUzI1NiIsInR5cCI6InN0YXR1c2xpc3Qrand0Iiwia2lkIjoiMSJ9.eyJ0dGwiOjMwfQ.c2lnbmF0dXJl',
  issuer: 'https://auth.example.com',
  earlier: '2026-10-01T09:00:00.000Z',
  moment: '2026-11-02T08:15:30.000Z',
  later: '2027-01-31T08:15:30.000Z'
} as const

/** Alice's account, as she sees it. */
export const EXAMPLE_ACCOUNT = {
  id: EXAMPLE.userId, username: EXAMPLE.username, scopes: ['items:read', 'users:read'], roles: []
}
