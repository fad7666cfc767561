// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../service/cors.test.js'
import '../../service/damaged-rows.test.js'
import '../../service/declared-headers.test.js'
import '../../service/home-page.test.js'
import '../../service/limits.test.js'
import '../../service/log.test.js'
import '../../service/revocation-feed.test.js'
import '../../service/shell.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
