// @open-rpc/client-js over HTTP.
import assert from 'node:assert/strict'
import { Client, HTTPTransport, RequestManager } from '@open-rpc/client-js'

const client = new Client(new RequestManager([new HTTPTransport(process.argv[2])]))

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

await client.notify({ method: 'journal_note', params: ['or', 'alone'] })
assert.deepEqual(await client.request({ method: 'journal_read', params: ['or'] }), ['alone'])
client.close()
