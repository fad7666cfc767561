// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../foreign/axios.test.js'
import '../../foreign/clients.test.js'
import '../../foreign/cluster-proxies.test.js'
import '../../foreign/eventsource.test.js'
import '../../foreign/fastapi-clients.test.js'
import '../../foreign/generators.test.js'
import '../../foreign/multipart.test.js'
import '../../foreign/oauth2-login/example.test.js'
import '../../foreign/older-systems.test.js'
import '../../foreign/openapi.test.js'
import '../../foreign/proxies.test.js'
import '../../foreign/runtimes.test.js'
import '../../foreign/status-list.test.js'
import '../../foreign/verifiers.test.js'
import '../../foreign/verify-elsewhere.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
