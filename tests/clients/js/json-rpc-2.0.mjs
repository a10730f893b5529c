// json-rpc-2.0, with fetch to carry what it says.
import assert from 'node:assert/strict'
import { createJSONRPCNotification, createJSONRPCRequest, JSONRPCClient } from 'json-rpc-2.0'

const url = process.argv[2]
const client = new JSONRPCClient(async (sent) => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(sent),
  })
  if (response.status === 200) {
    client.receive(await response.json())
  } else if (sent.id !== undefined) {
    throw new Error(response.statusText)
  }
})

assert.equal(await client.request('maths_add', [1, 2]), 3)
assert.equal(await client.request('maths_add', { a: 1, b: 2 }), 3)
await assert.rejects(client.request('maths_divide', [1, 0]), {
  code: 1001,
  message: 'Division by zero',
  data: { a: 1 },
})

await client.notify('journal_note', ['jr', 'alone'])
const batch = await client.requestAdvanced([
  createJSONRPCRequest('a', 'maths_add', [1, 2]),
  createJSONRPCNotification('journal_note', ['jr', 'in a batch']),
  createJSONRPCRequest(2, 'none'),
])
assert.deepEqual(batch.map((one) => [one.id, one.result ?? one.error.code]), [['a', 3], [2, -32601]])
assert.deepEqual(await client.request('journal_read', ['jr']), ['alone', 'in a batch'])
