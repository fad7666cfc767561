// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../browser/docs-page.test.js'
import '../../browser/example.test.js'
import '../../hosts/websocket.test.js'

// A file sets the limit for itself alone.
t.setTimeout(600_000)
