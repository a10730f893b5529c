// jayson over HTTP.
import assert from 'node:assert/strict'
import { promisify } from 'node:util'
import jayson from 'jayson'

const client = jayson.Client.http(process.argv[2])
const request = promisify(client.request.bind(client))

const { result, id } = await request('maths_add', [1, 2])
assert.equal(result, 3)
assert.equal(typeof id, 'string')
assert.equal((await request('maths_add', { a: 1, b: 2 })).result, 3)

const { error } = await request('maths_divide', [1, 0])
assert.deepEqual(error, { code: 1001, message: 'Division by zero', data: { a: 1 } })

assert.equal(await request('journal_note', ['ja', 'alone'], null), undefined)

const batch = await request([
  client.request('maths_add', [1, 2], undefined, false),
  client.request('journal_note', ['ja', 'in a batch'], null, false),
  client.request('none', [], undefined, false),
])
assert.deepEqual(batch.map((one) => one.result ?? one.error.code), [3, -32601])
assert.equal(await request([client.request('journal_note', ['ja', 'in another'], null, false)]), undefined)

assert.deepEqual((await request('journal_read', ['ja'])).result, ['alone', 'in a batch', 'in another'])
