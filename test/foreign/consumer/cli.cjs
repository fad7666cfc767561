// Boots the app of this folder as `fastify start` does, and calls it.
const { build } = require('fastify-cli/helper')

async function call () {
  // Without `skipOverride` the app is a plugin in a scope of its own, and its decorators cannot be seen from here.
  const app = await build([process.argv[2]], { skipOverride: true })
  const user = { username: 'alice', password: 'marble otter sings at noon' }
  await app.latchkey.users.add({ ...user, scopes: [] })
  const { statusCode } = await app.inject({
    method: 'POST', url: '/auth/login', payload: user
  })
  const statuses = [statusCode]
  for (const url of ['/me', '/also-me']) statuses.push((await app.inject(url)).statusCode)
  await app.close()
  console.log(JSON.stringify(statuses))
}

call()
