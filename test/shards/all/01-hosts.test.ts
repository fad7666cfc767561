// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../hosts/closing.test.js'
import '../../hosts/decorators.test.js'
import '../../hosts/encapsulation.test.js'
import '../../hosts/guarded-app.test.js'
import '../../hosts/living-together.test.js'
import '../../hosts/one-database.test.js'
import '../../hosts/options.test.js'
import '../../hosts/own-errors.test.js'
import '../../hosts/own-login.test.js'
import '../../hosts/registration.test.js'
import '../../hosts/session.test.js'
import '../../hosts/shell.test.js'
import '../../hosts/siblings.test.js'
import '../../hosts/swagger.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
