// @open-rpc/client-js over HTTP and over WebSocket.
import assert from 'node:assert/strict'
import { Client, HTTPTransport, RequestManager, WebSocketTransport } from '@open-rpc/client-js'

const url = process.argv[2]
const transports = {
  http: () => new HTTPTransport(url),
  ws: () => new WebSocketTransport(url.replace('http', 'ws')),
}

for (const [topic, connect] of Object.entries(transports)) {
  const client = new Client(new RequestManager([connect()]))

  assert.equal(await client.request({ method: 'maths_add', params: [1, 2] }), 3)
  assert.equal(await client.request({ method: 'maths_add', params: { a: 1, b: 2 } }), 3)
  await assert.rejects(client.request({ method: 'maths_divide', params: [1, 0] }), {
    code: 1001,
    message: 'Division by zero',
  })

  client.startBatch()
  const waiting = Promise.allSettled([
    client.request({ method: 'maths_add', params: [1, 2] }),
    client.request({ method: 'none', params: [] }),
    client.request({ method: 'maths_add', params: [3, 4] }),
  ])
  client.stopBatch()
  const batch = await waiting
  assert.deepEqual(batch.map((one) => one.value ?? one.reason.code), [3, -32601, 7])

  await client.notify({ method: 'journal_note', params: [topic, 'alone'] })
  assert.deepEqual(await client.request({ method: 'journal_read', params: [topic] }), ['alone'])
  client.close()
}

process.exit() // its time limits of what was answered long ago would go on for five seconds
