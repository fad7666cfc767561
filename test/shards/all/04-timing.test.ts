// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../plugins/timing.test.js'

// A file sets the limit for itself alone.
t.setTimeout(600_000)
