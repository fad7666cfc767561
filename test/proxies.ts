import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort, startProgram } from './programs.js'

const docs = join(import.meta.dirname, '..', '..', 'docs')

/** The block of this language in a page that contains a text. */
export async function blockOf (page: string, language: string, text: string): Promise<string> {
  const blocks = (await readFile(join(docs, page), 'utf8')).matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, 'g'))
  const found = [...blocks].map(([, code = '']) => code).find(code => code.includes(text))
  if (found === undefined) throw new Error(`${page} has no block of ${language} with ${text}`)
  return found
}

interface Proxy {
  command: string
  /** Returns the arguments for a configuration, which it has written into the folder. */
  prepare (folder: string, configuration: string, port: number): Promise<string[]>
  /** What its clients get for an answer that is neither 2xx, 401 nor 403. */
  statusOf (status: number): number
}

/** Proxies that run a block of the pages on a port of this machine, without TLS. */
export const PROXIES = {
  nginx: {
    command: 'nginx',
    async prepare (folder, configuration, port) {
      const server = configuration.includes('server {') ? configuration : `server {\nlisten 443 ssl;\n${configuration}}`
      const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`)
      await writeFile(join(folder, 'nginx.conf'), [
        `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}`,
        `http { access_log off; ${places.join(' ')}`,
        server.replace('listen 443 ssl', `listen 127.0.0.1:${port}`).replaceAll(/ssl_.*/g, ''),
        '}'
      ].join('\n'))
      return ['-c', join(folder, 'nginx.conf'), '-e', 'stderr']
    },
    statusOf: () => 500
  },
  caddy: {
    command: 'caddy',
    async prepare (folder, configuration, port) {
      const site = configuration.replace(/^\S*example.com \{/, `http://127.0.0.1:${port} {`)
      await writeFile(join(folder, 'Caddyfile'), `{\n\tadmin off\n\tauto_https off\n}\n${site}`)
      return ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile']
    },
    statusOf: status => status
  },
  haproxy: {
    command: 'haproxy',
    async prepare (folder, configuration, port) {
      const text = configuration.replace(/bind .*/, `bind 127.0.0.1:${port}`)
      await writeFile(join(folder, 'haproxy.cfg'), text)
      return ['-db', '-f', join(folder, 'haproxy.cfg')]
    },
    statusOf: status => status
  }
} satisfies Record<string, Proxy>

/** Returns the reason to skip a test with this proxy, or false. */
export function skipWithout ({ command }: Proxy): string | false {
  const isThere = spawnSync(command, ['-v'], { stdio: 'ignore' }).error === undefined
  return isThere || process.env.LATCHKEY_TEST_PROXIES === 'required' ? false : `there is no ${command} here`
}

/** Starts a proxy, waits until it passes on requests for a path, and returns its origin. */
export async function startProxy (
  t: Test, { command, prepare }: Proxy, configuration: string, path = '/auth/health/live'
): Promise<string> {
  const port = await freePort()
  const folder = t.testdir({})
  const origin = `http://127.0.0.1:${port}`
  const args = await prepare(folder, configuration, port)
  await startProgram(t, { command, args, env: { HOME: folder }, url: origin + path })
  return origin
}
