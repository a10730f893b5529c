// vscode-jsonrpc, the wire of language servers: over standard input and output of a process of its own.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node'

const [python, top] = process.argv.slice(3)
const command = ['-m', 'batchway', 'rpc', 'serve', 'tests.clients.service:app', '--stdio']
const server = spawn(python, command, { cwd: top, stdio: ['pipe', 'pipe', 'inherit'] })
const connection = createMessageConnection(
  new StreamMessageReader(server.stdout),
  new StreamMessageWriter(server.stdin),
)
connection.listen()

assert.equal(await connection.sendRequest('maths_add', 1, 2), 3)
assert.equal(await connection.sendRequest('maths_add', { a: 1, b: 2 }), 3)
await assert.rejects(connection.sendRequest('maths_divide', 1, 0), {
  code: 1001,
  message: 'Division by zero',
  data: { a: 1 },
})
await assert.rejects(connection.sendRequest('none'), { code: -32601 })
await connection.sendNotification('journal_note', 'vs', 'alone')
assert.deepEqual(await connection.sendRequest('journal_read', 'vs'), ['alone'])

connection.end()
server.stdin.end()
const [code] = await once(server, 'exit')
assert.equal(code, 0)
connection.dispose()
