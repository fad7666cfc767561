// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../model/honest-clients.test.js'
import '../../model/parsers.test.js'
import '../../model/sessions.test.js'
import '../../vectors/json-web-key.test.js'
import '../../vectors/json-web-signature.test.js'
import '../../vectors/odd-tokens.test.js'
import '../../vectors/rfc-examples.test.js'
import '../../vectors/verifier.test.js'
import '../../verifier/clock-leaps.test.js'
import '../../verifier/discovery.test.js'
import '../../verifier/feed.test.js'
import '../../verifier/freshness.test.js'
import '../../verifier/issuers.test.js'
import '../../verifier/jwks.test.js'
import '../../verifier/networks.test.js'
import '../../verifier/plugin.test.js'
import '../../verifier/service.test.js'
import '../../verifier/settings.test.js'
import '../../verifier/verifier.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
