// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../plugins/authentication.test.js'
import '../../plugins/cookies.test.js'
import '../../plugins/errors.test.js'
import '../../plugins/events.test.js'
import '../../plugins/failure-log.test.js'
import '../../plugins/guards.test.js'
import '../../plugins/held-requests.test.js'
import '../../plugins/host-logins.test.js'
import '../../plugins/host-sessions.test.js'
import '../../plugins/keys.test.js'
import '../../plugins/passwords.test.js'
import '../../plugins/purge.test.js'
import '../../plugins/rate-limit.test.js'
import '../../plugins/revocations.test.js'
import '../../plugins/scheme.test.js'
import '../../plugins/throttle.test.js'
import '../../plugins/tokens.test.js'
import '../../plugins/user-ids.test.js'
import '../../plugins/users.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
