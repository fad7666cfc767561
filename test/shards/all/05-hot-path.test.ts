// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../hot-path/requests.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
