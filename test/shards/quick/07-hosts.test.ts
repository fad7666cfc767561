// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../hosts/closing.test.js'
import '../../hosts/encapsulation.test.js'
import '../../hosts/guarded-app.test.js'
import '../../hosts/living-together.test.js'
import '../../hosts/options.test.js'
import '../../hosts/registration.test.js'
import '../../hosts/shell.test.js'
import '../../hosts/siblings.test.js'
import '../../hosts/swagger.test.js'

// A file sets the limit for itself alone.
t.setTimeout(600_000)
