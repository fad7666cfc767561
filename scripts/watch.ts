import { spawn } from 'node:child_process'

// Compiles the sources when one changes, and runs a program with `node --watch`, which restarts it when its files
// change:
//
//   npm run dev
//   npm run test:watch dist/test/lib/identity/scopes.test.js

const program = process.argv.slice(2)
if (program.length === 0) {
  throw new Error('watch: the file to run is missing: add it, for example dist/test/lib/identity/scopes.test.js')
}

const compiler = spawn('tsc', ['--build', '--watch', '--preserveWatchOutput'], { stdio: 'inherit' })
const child = spawn(process.execPath, ['--enable-source-maps', '--watch', ...program], { stdio: 'inherit' })

// Ctrl+C reaches all three processes. Other signals reach only this one.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => { child.kill(signal) })
child.on('exit', code => {
  compiler.kill()
  process.exitCode = code ?? 1
})
