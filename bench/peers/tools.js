// The packages that measure. bench/tools.ts declares what the benchmark uses of them.
export { default as autocannon } from 'autocannon'
export { default as pidusage } from 'pidusage'
