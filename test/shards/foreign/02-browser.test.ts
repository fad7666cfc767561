// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../foreign/browser/docs-page.test.js'
import '../../foreign/browser/example.test.js'
import '../../foreign/websocket.test.js'

// A file sets the limit for itself alone.
t.setTimeout(600_000)
