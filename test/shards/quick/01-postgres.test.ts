// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../postgres/nodes.test.js'
import '../../postgres/purge.test.js'
import '../../postgres/queries.test.js'
import '../../postgres/rotation.test.js'
import '../../postgres/schemas.test.js'
import '../../postgres/settings.test.js'
import '../../postgres/store.test.js'
import '../../postgres/writers.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
