// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../routes/administration.test.js'
import '../../routes/audit.test.js'
import '../../routes/bounded-queries.test.js'
import '../../routes/client-credentials.test.js'
import '../../routes/clients.test.js'
import '../../routes/health.test.js'
import '../../routes/introspect.test.js'
import '../../routes/login.test.js'
import '../../routes/logout.test.js'
import '../../routes/refresh.test.js'
import '../../routes/register.test.js'
import '../../routes/revocations-page.test.js'
import '../../routes/revocations.test.js'
import '../../routes/revoke.test.js'
import '../../routes/sessions.test.js'
import '../../routes/status-lists.test.js'
import '../../routes/token.test.js'
import '../../routes/users.test.js'
import '../../routes/well-known.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
