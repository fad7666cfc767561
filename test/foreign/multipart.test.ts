import multipart from '@fastify/multipart'
import t from 'tap'
import latchkey from '../../app.js'
import { addUsers, PASSWORD, TEST_OPTIONS } from '../helper.js'
import { createHost } from '../routes/support.js'

const LOGIN = { username: 'alice', password: PASSWORD }

function formOf (fields: Record<string, string | Blob>): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  return form
}

for (const order of ['before', 'after']) {
  t.test(`@fastify/multipart of the host, registered ${order} us, and our forms do not see each other`, async t => {
    const app = createHost(t)
    const options = { attachFieldsToBody: 'keyValues' } as const
    if (order === 'before') await app.register(multipart, options)
    await app.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth' })
    if (order === 'after') await app.register(multipart, options)
    app.post('/upload', async request => Object.keys(request.body as object))
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    await addUsers(app)
    const post = async (path: string, fields: Record<string, string | Blob>): Promise<Response> =>
      await fetch(url + path, { method: 'POST', body: formOf(fields) })
    t.equal((await post('/auth/token', LOGIN)).status, 200)
    t.equal((await post('/auth/login', LOGIN)).status, 415)
    const refused = await post('/auth/token', { ...LOGIN, avatar: new Blob(['x']) })
    t.match([refused.status, await refused.json()], [400, { error_description: /with a file/ }])
    t.strictSame(await (await post('/upload', { a: '1', f: new Blob(['x']) })).json(), ['a', 'f'])
  })
}
