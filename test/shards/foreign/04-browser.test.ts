// Written by npm run shards: see scripts/shards.ts.
import t from 'tap'
import '../../foreign/browser/docs-page.test.js'
import '../../foreign/browser/example.test.js'
import '../../foreign/browser/fastapi.test.js'
import '../../foreign/browser/live.test.js'
import '../../foreign/websocket.test.js'

// The timeout in a test file only covers that file.
t.setTimeout(600_000)
