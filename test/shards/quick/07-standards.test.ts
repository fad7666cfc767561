// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../architecture.test.js'
import '../../bench/report.test.js'
import '../../docs.test.js'
import '../../import-recipes.test.js'
import '../../project.test.js'
import '../../readme.test.js'
import '../../schemas.test.js'
import '../../shards.test.js'
import '../../standards/bcp.test.js'
import '../../standards/coverage.test.js'
import '../../standards/http.test.js'
import '../../standards/jose.test.js'
import '../../standards/nist.test.js'
import '../../standards/oauth.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
