// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../client/client.test.js'
import '../../dockerfile.test.js'
import '../../examples/cluster.test.js'
import '../../examples/custom-policy.test.js'
import '../../examples/fastapi-tutorial.test.js'
import '../../examples/items.test.js'
import '../../examples/keep-your-api.test.js'
import '../../examples/machine-client.test.js'
import '../../examples/own-users.test.js'
import '../../examples/plugin.test.js'
import '../../examples/resource-server.test.js'
import '../../examples/verifier.test.js'
import '../../testing/kit.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
