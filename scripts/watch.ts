import { spawn } from 'node:child_process'

// Compiles the sources whenever one changes, beside a program that `node --watch` restarts when what it loads has changed:
//
//   npm run dev
//   npm run test:watch dist/test/lib/identity/scopes.test.js

const program = process.argv.slice(2)
if (program.length === 0) throw new Error('watch: name the file to run, for example dist/test/lib/identity/scopes.test.js')

const compiler = spawn('tsc', ['--build', '--watch', '--preserveWatchOutput'], { stdio: 'inherit' })
const child = spawn(process.execPath, ['--enable-source-maps', '--watch', ...program], { stdio: 'inherit' })

// Ctrl+C reaches both; a signal from elsewhere reaches this process alone.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => { child.kill(signal) })
child.on('exit', code => {
  compiler.kill()
  process.exitCode = code ?? 1
})
