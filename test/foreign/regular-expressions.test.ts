import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { RegExpParser, visitRegExpAST } from '@eslint-community/regexpp'
import type { AST } from '@eslint-community/regexpp'
import t from 'tap'
import ts from 'typescript'

// The second net below the linter, which does not see patterns in schemas, nor a search that begins with fixed
// characters: each regular expression of ours gets 64 KiB of what is likely to be its worst input. A quadratic one
// needs seconds for it.

/** The sources, not `dist`, because they hold what a person wrote. */
const root = join(import.meta.dirname, '..', '..', '..')
const FOLDERS = ['lib', 'plugins', 'routes', 'schemas', 'verifier', 'client', 'commands']
const FILES = ['app.ts', 'server.ts', 'cli.ts']
const LENGTH = 64 * 1024
const SHORT = 2 * 1024

/** Milliseconds of CPU for one input. A linear search needs a few, and a quadratic one more than a thousand. */
const MOST = 250

/** How an input ends: with nothing, or with text that hardly any expression expects there. */
const ENDS = ['', '\u0001', '!\n', '/']

interface Found { where: string, pattern: string, flags: string }

async function listSources (): Promise<string[]> {
  const inFolders = await Promise.all(FOLDERS.map(
    async folder => (await readdir(join(root, folder), { recursive: true })).map(file => join(folder, file))
  ))
  return [...inFolders.flat(), ...FILES].filter(file => file.endsWith('.ts') && file !== join('client', 'openapi.ts'))
}

/**
 * Returns the text that an expression stands for. It reads literals, templates of constants, and constants of this file
 * and of the schemas.
 */
function textOf (node: ts.Node, file: ts.SourceFile): string | undefined {
  if (ts.isStringLiteralLike(node)) return node.text
  if (ts.isTemplateExpression(node)) {
    const parts = node.templateSpans.map(span => [textOf(span.expression, file), span.literal.text])
    return parts.flat().includes(undefined) ? undefined : node.head.text + parts.flat().join('')
  }
  if (!ts.isIdentifier(node)) return undefined
  if (constants.has(node.text)) return constants.get(node.text)
  for (const statement of file.statements) {
    if (!ts.isVariableStatement(statement)) continue
    const found = statement.declarationList.declarations.find(({ name }) => name.getText(file) === node.text)
    if (found?.initializer !== undefined) return textOf(found.initializer, file)
  }
  return undefined
}

/** The exported texts of the schemas, by name. */
const constants = new Map<string, string>()
const schemas: Array<[where: string, value: unknown]> = []
for (const name of (await readdir(join(root, 'dist', 'schemas'))).filter(name => name.endsWith('.js'))) {
  const exported = await import(pathToFileURL(join(root, 'dist', 'schemas', name)).href) as Record<string, unknown>
  for (const [key, value] of Object.entries(exported)) {
    if (typeof value === 'string') constants.set(key, value)
    schemas.push([`${key} of schemas/${name}`, value])
  }
}

/** Sources that compute patterns when they are loaded: those are recorded then. */
const computing = new Set<string>()

/** Every literal and every `new RegExp` of a source. If a pattern is computed, the source goes into `computing`. */
function findInSource (name: string, text: string): Found[] {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true)
  const found: Found[] = []
  function visit (node: ts.Node): void {
    const where = `${name}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1}`
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/')
      found.push({ where, pattern: node.text.slice(1, end), flags: node.text.slice(end + 1) })
    } else if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && node.expression.getText(file) === 'RegExp') {
      const [pattern, flags] = (node.arguments ?? []).map(argument => textOf(argument, file))
      if (pattern === undefined) computing.add(name)
      else found.push({ where, pattern, flags: flags ?? '' })
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

/** The expressions that a module makes while it is loaded. It must not have been loaded before. */
async function findAtLoad (name: string): Promise<Found[]> {
  const { href } = pathToFileURL(join(root, 'dist', name.replace(/\.ts$/, '.js')))
  const found: Found[] = []
  const original = globalThis.RegExp
  globalThis.RegExp = new Proxy(original, {
    construct (Target, [pattern, flags]: [string | RegExp, string | undefined]) {
      const { stack = '' } = new Error('made here')
      if (stack.includes(href) || stack.includes(name)) {
        found.push({
          where: name, pattern: String(pattern), flags: flags ?? ''
        })
      }
      return new Target(pattern, flags)
    }
  })
  try {
    await import(href)
  } finally {
    globalThis.RegExp = original
  }
  if (found.length === 0) {
    throw new Error(
    `${name}: write the pattern with constants, or compute it when the module is loaded`
    )
  }
  return found
}

/** Every `pattern` of a schema, as Ajv makes a regular expression of it. */
function findInSchema (where: string, value: unknown): Found[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, part]) => {
    if (key === 'pattern' && typeof part === 'string') return [{ where, pattern: part, flags: 'u' }]
    const names = key === 'patternProperties'
      ? Object.keys(part as object).map(
        pattern => ({ where, pattern, flags: 'u' })
      )
      : []
    return [...names, ...findInSchema(where, part)]
  })
}

/** Returns the first character that an element matches, in the order in which a person would try them. */
function characterOf (
  node: AST.Element | AST.CharacterClassElement | AST.ClassStringDisjunction, matches: (text: string) => boolean
): string[] {
  if (node.type === 'Character') return [String.fromCodePoint(node.value)]
  return ['a', '0', ' ', '/', '.', '-', '=', '"', 'A', 'é', '\t', ';', '{'].filter(matches).slice(0, 2)
}

/**
 * Returns texts that parts of the pattern match: the beginning of each sequence up to each quantifier, and each
 * repeated element alone.
 */
function fragmentsOf ({ pattern, flags }: Found): string[] {
  const parsed = new RegExpParser().parsePattern(pattern, 0, pattern.length, { unicode: flags.includes('u') })
  const found = new Set<string>()

  function sample (node: AST.Element | AST.Alternative): string {
    switch (node.type) {
      case 'Alternative': return node.elements.map(sample).join('')
      case 'Quantifier': return sample(node.element).repeat(Math.min(Math.max(node.min, 1), 40))
      case 'Group':
      case 'CapturingGroup': return node.alternatives[0] === undefined ? '' : sample(node.alternatives[0])
      case 'Character':
      case 'CharacterSet':
      case 'CharacterClass': return characterOf(
        node, text => new RegExp(`^(?:${node.raw})$`, flags.replace(/[gym]/g, '')).test(text)
      )[0] ?? ''
      default: return ''
    }
  }

  visitRegExpAST(parsed, {
    onAlternativeEnter ({ elements }) {
      let prefix = ''
      for (const element of elements) {
        if (prefix !== '') found.add(prefix)
        prefix += sample(element)
      }
      found.add(prefix)
    },
    onQuantifierEnter: node => { found.add(sample(node.element)) },
    onCharacterClassEnter: node => { found.add(sample(node)) },
    onCharacterSetEnter: node => { if (node.parent.type !== 'CharacterClass') found.add(sample(node)) }
  })
  return [...found].filter(text => text !== '' && text.length <= 200)
}

/** Returns inputs that repeat each fragment, alone and after another one, and end with text that does not match. */
function inputsFor (found: Found, length: number): string[] {
  const fragments = fragmentsOf(found)
  const repeat = (text: string, size: number): string => text.repeat(Math.ceil(size / text.length)).slice(0, size)
  const pairs = fragments.flatMap(first => fragments.flatMap(second => first === second
    ? [repeat(first, length)]
    : [
        first + repeat(second, length), repeat(first, length / 2) + repeat(second, length / 2),
        repeat(first + second, length)
      ]))
  return pairs.slice(0, 40).flatMap(text => ENDS.map(end => text + end))
}

/** Milliseconds of CPU time, so that other processes of the machine do not count. */
function costOf (expression: RegExp, input: string): number {
  const before = process.cpuUsage()
  if (expression.global) input.replace(expression, '')
  else expression.test(input)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

/** Tries twice, because a garbage collection may slow the first try. */
function isSlow (expression: RegExp, input: string): boolean {
  const cost = costOf(expression, input)
  return cost > 4 * MOST || (cost > MOST && costOf(expression, input) > MOST)
}

/**
 * Returns an input for which an expression takes too long, if there is one. It tries those that cost most when they are
 * short.
 */
function findSlow (found: Found, length = LENGTH): string | undefined {
  const expression = new RegExp(found.pattern, found.flags)
  const costs = inputsFor(found, SHORT).map((input, index) => ({ index, cost: costOf(expression, input) }))
  const worst = costs.sort((a, b) => b.cost - a.cost).slice(0, 2).map(({ index }) => index)
  const inputs = inputsFor(found, length)
  const slow = worst.map(index => inputs[index] ?? '').find(input => isSlow(expression, input))
  return slow === undefined ? undefined : `${JSON.stringify(slow.slice(0, 40))} and so on`
}

t.test('every regular expression takes linear time', async t => {
  const inSources = await Promise.all((await listSources()).map(
    async name => findInSource(name, await readFile(join(root, name), 'utf8'))
  ))
  const atLoad: Found[] = []
  for (const name of computing) atLoad.push(...await findAtLoad(name))
  const all = [...inSources.flat(), ...atLoad, ...schemas.flatMap(([where, value]) => findInSchema(where, value))]
  const distinct = [...new Map(all.map(found => [`/${found.pattern}/${found.flags}`, found])).entries()]
  t.ok(distinct.length > 60, `${distinct.length} were found`)
  for (const [text, found] of distinct) t.equal(findSlow(found), undefined, `${found.where} ${text}`)
})

t.test('this test finds expressions that do not', async t => {
  for (const pattern of [
    String.raw`eyJ[\w-]+\.[\w-]+\.[\w-]+|lk[rs]_[\w-]+`, String.raw`\/+$`, String.raw`\s*\n\s*`, '[^/]*$'
  ]) {
    t.type(findSlow({ where: '', pattern, flags: 'g' }, LENGTH / 2), 'string', pattern)
  }
})
