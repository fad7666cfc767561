// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../lib/ledger/audit.test.js'
import '../../lib/sessions/limit.test.js'
import '../../lib/status-lists/codec.test.js'
import '../../lib/status-lists/lists.test.js'
import '../../lib/status-lists/references.test.js'
import '../../lib/throttle/attempts.test.js'
import '../../service/cors.test.js'
import '../../service/damaged-rows.test.js'
import '../../service/declared-headers.test.js'
import '../../service/home-page.test.js'
import '../../service/limits.test.js'
import '../../service/log.test.js'
import '../../service/revocation-feed.test.js'
import '../../service/shell.test.js'
import '../../standards/bcp.test.js'
import '../../standards/http.test.js'
import '../../standards/jose.test.js'
import '../../standards/nist.test.js'
import '../../standards/oauth.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
