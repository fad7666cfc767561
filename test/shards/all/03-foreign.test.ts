// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../client/generators.test.js'
import '../../foreign/clients.test.js'
import '../../foreign/status-list.test.js'
import '../../foreign/verifiers.test.js'
import '../../openapi.test.js'

// A file sets the limit for itself alone.
t.setTimeout(600_000)
