import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'

const run = promisify(execFile)
export const root = join(import.meta.dirname, '..', '..', '..')
export const FOREIGN = join(root, 'test', 'foreign', 'node_modules')
export const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
  bin: Record<string, string>,
  dependencies: Record<string, string>,
  peerDependencies: Record<string, string>
  engines: Record<string, string>,
  exports: Record<string, unknown>
}

export interface Outcome { code: number, output: string }

/**
 * Runs a program of node_modules, or a file; never throws. Coverage of the child would be coverage of the unpacked
 * copy.
 */
export async function node (file: string, args: string[], cwd: string): Promise<Outcome> {
  const { NODE_V8_COVERAGE: _coverage, NODE_OPTIONS: _options, ...env } = process.env
  try {
    const { stdout, stderr } = await run(process.execPath, [file, ...args], { cwd, env: { ...env, NO_COLOR: '1' } })
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number, stdout: string, stderr: string }
    return { code, output: stdout + stderr }
  }
}

/** A project that has installed the packed package. */
export interface Consumer {
  /** Its folder, an ES module. */
  consumer: string
  /** The package in its `node_modules`. */
  unpacked: string
  tarball: string
  /** The files in the tarball. */
  paths: string[]
  /** The folder around the project and the tarball. */
  temporary: string
  /** Adds a package to its `node_modules`. By default it is one of ours. */
  link (name: string, packages?: string): Promise<void>
}

/** Packs the package and makes a project that uses it, until the test ends. */
export async function createConsumer (t: Test): Promise<Consumer> {
  // Outside the repository: nothing of it may be found by walking up.
  const temporary = await realpath(await mkdtemp(join(tmpdir(), 'latchkey-package-')))
  t.teardown(() => rm(temporary, { recursive: true, force: true }))
  const consumer = join(temporary, 'consumer')
  const unpacked = join(consumer, 'node_modules', 'fastify-latchkey')

  // Without scripts: what is packed is what is tested, and other tests are reading dist right now.
  const { stdout: packing } = await run(
    'npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', temporary], { cwd: root }
  )
  const [packed] = JSON.parse(packing) as [{ filename: string, files: Array<{ path: string, mode: number }> }]
  const tarball = join(temporary, packed.filename)
  const paths = packed.files.map(({ path }) => path)

  await mkdir(unpacked, { recursive: true })
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', unpacked])
  await writeFile(join(consumer, 'package.json'), '{ "private": true, "type": "module" }')

  async function link (name: string, packages = join(root, 'node_modules')): Promise<void> {
    const path = join(consumer, 'node_modules', name)
    await mkdir(dirname(path), { recursive: true })
    await symlink(join(packages, name), path)
  }

  // What an install would bring, and no more: an import that package.json does not declare finds nothing.
  for (const name of [
    ...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies), '@types/node'
  ]) await link(name)
  return { consumer, unpacked, tarball, paths, temporary, link }
}
