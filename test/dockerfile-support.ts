import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'

// What can be checked of a Dockerfile without building it.

const root = join(import.meta.dirname, '..', '..')

/** An instruction of a Dockerfile. */
export interface Instruction {
  name: string
  /** Its flags, for example `--from=build`. */
  flags: string[]
  /** What follows the flags, on one line. */
  text: string
}

/** Reads a Dockerfile of the checkout, stage by stage. */
export async function readStages (path: string): Promise<Instruction[][]> {
  const stages: Instruction[][] = []
  const text = (await readFile(join(root, path), 'utf8')).replaceAll('\\\n', ' ')
  for (const line of text.split('\n').filter(line => /^[A-Z]/.test(line))) {
    const [name = '', ...words] = line.split(/ +/)
    const flags = words.slice(0, words.findIndex(word => !word.startsWith('--')))
    if (name === 'FROM') stages.push([])
    stages.at(-1)?.push({ name, flags, text: words.slice(flags.length).join(' ') })
  }
  return stages
}

/** Returns the text of the last instruction of this name; an earlier one has no effect. */
export function lastOf (stage: readonly Instruction[], name: string): string {
  return stage.findLast(instruction => instruction.name === name)?.text ?? ''
}

/** Returns the command of an instruction in the JSON form, which no shell reads. */
export function commandOf (text: string): string[] {
  return JSON.parse(text.replace(/^CMD /, '')) as string[]
}

/** Returns the variables that a stage sets. */
export function variablesOf (stage: readonly Instruction[]): Record<string, string> {
  const pairs = stage.filter(({ name }) => name === 'ENV').flatMap(({ text }) => text.split(' '))
  return Object.fromEntries(pairs.map(pair => pair.split('='))) as Record<string, string>
}

/** Returns the lines of a file that says what stays out of the image. */
async function readIgnored (path: string): Promise<string[]> {
  return (await readFile(join(root, path), 'utf8')).split('\n').filter(line => line !== '' && !line.startsWith('#'))
}

/** Checks an image that is built in one stage and runs the packed package in the next. */
export async function checkImage (t: Test, path: string, { ignore }: { ignore: string }): Promise<void> {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    name: string, bin: { latchkey: string }, engines: { node: string }, scripts: Record<string, string>
  }
  const { name: packageName, bin, engines, scripts } = manifest
  const stages = await readStages(path)
  t.equal(stages.length, 2, 'a stage that builds and one that runs')
  const [builder, runner] = stages as [Instruction[], Instruction[]]

  const oldest = Number(/\d+/.exec(engines.node)?.[0])
  for (const stage of stages) {
    const [, major] = /^node:(\d+)-slim\b/.exec(lastOf(stage, 'FROM')) ?? []
    t.ok(Number(major) > oldest, 'a version of Node.js for which better-sqlite3 comes compiled')
  }

  // What it copies is there, and is not left out of what the builder is sent.
  const ignored = await readIgnored(ignore)
  t.strictSame(ignored, await readIgnored('.dockerignore'), 'each image leaves out the same')
  for (const name of ['**/.env', '**/*.secret', '**/*.db', '.git']) t.ok(ignored.includes(name), `${name} stays out`)
  for (const { flags, text } of builder.filter(({ name }) => name === 'COPY')) {
    t.strictSame(flags, [])
    for (const source of text.split(' ').slice(0, -1)) {
      await t.resolves(access(join(root, source)), source)
      t.notOk(ignored.includes(source), `${source} is sent`)
    }
  }

  // What it runs of npm is there: `npm pack` compiles by the script prepack, and its file has this name.
  const runs = stages.flat().filter(({ name }) => name === 'RUN').flatMap(({ text }) => text.split(' && '))
  t.match(scripts.prepack, /npm run --silent build/)
  t.ok(builder.some(({ text }) => text === `npm pack && mv ${packageName}-*.tgz latchkey.tgz`))
  const copy = runner.find(({ name }) => name === 'COPY')
  t.match(copy, { flags: ['--from=build'], text: '/build/latchkey.tgz /tmp/latchkey.tgz' })
  t.match(lastOf(builder, 'FROM'), / AS build$/)
  t.equal(lastOf(builder, 'WORKDIR'), '/build')
  const prefix = '/opt/latchkey'
  const install = runs.find(run => run.startsWith(`npm install --prefix ${prefix} `))
  t.ok(install?.endsWith(' /tmp/latchkey.tgz fastify'), 'the package and its peer')
  const program = `${prefix}/node_modules/${packageName}/${bin.latchkey}`
  t.strictSame(commandOf(lastOf(runner, 'ENTRYPOINT')), ['node', program])
  t.strictSame(commandOf(lastOf(runner, 'CMD')), ['serve'])

  t.equal(lastOf(runner, 'USER'), 'node', 'it does not run as root')
  const user = runner.findIndex(({ name }) => name === 'USER')
  t.ok(user > runner.findLastIndex(({ name }) => name === 'RUN'), 'its user cannot change what is installed')
}

/** Runs a health check on this machine as the engine would, and rejects with its exit code if it fails. */
export async function runHealthCheck (command: readonly string[], env: Record<string, string> = {}): Promise<void> {
  const [program = '', ...parameters] = command
  if (program !== 'node') throw new Error(`${program} is not in the image`)
  await promisify(execFile)(process.execPath, parameters, { env: { PATH: process.env.PATH, ...env } })
}
