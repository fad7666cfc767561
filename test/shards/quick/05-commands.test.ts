// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../cli.test.js'
import '../../commands/audit.test.js'
import '../../commands/clients.test.js'
import '../../commands/copy.test.js'
import '../../commands/keys.test.js'
import '../../commands/openapi.test.js'
import '../../commands/options-file.test.js'
import '../../commands/serve.test.js'
import '../../commands/terminal.test.js'
import '../../commands/tokens.test.js'
import '../../commands/users-import.test.js'
import '../../commands/users.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
