import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

// Installs a package that is not part of the project's own install, unless its package.json has not changed since:
//
//   node scripts/install.js FOLDER [COMPILED]
//
// COMPILED is where the compiled files of FOLDER are. They find the packages through a link. This script is JavaScript,
// because it runs before anything is compiled.

const [folder, compiled] = process.argv.slice(2)
if (folder === undefined) throw new Error('install: name a folder, for example scripts/lint')

const wanted = readFileSync(join(folder, 'package.json'), 'utf8')
const mark = join(folder, 'node_modules', '.installed')

function readMark () {
  try {
    return readFileSync(mark, 'utf8')
  } catch {
    return undefined
  }
}

if (readMark() !== wanted) {
  console.log(`Installing the packages of ${folder} ...`)
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  execFileSync('npm', ['install', '--prefix', folder, ...quiet], { stdio: 'inherit' })
  writeFileSync(mark, wanted)
}

if (compiled !== undefined) {
  mkdirSync(compiled, { recursive: true })
  rmSync(join(compiled, 'node_modules'), { force: true })
  symlinkSync(relative(compiled, join(folder, 'node_modules')), join(compiled, 'node_modules'))
}
