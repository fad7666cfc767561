// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../postgres/failover.test.js'
import '../../postgres/nodes.test.js'
import '../../postgres/purge.test.js'
import '../../postgres/queries.test.js'
import '../../postgres/store.test.js'
import '../../postgres/takeover.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
