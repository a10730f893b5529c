// ethers over HTTP, where it gathers calls into batches by itself, and over WebSocket.
import assert from 'node:assert/strict'
import { JsonRpcProvider, WebSocketProvider } from 'ethers'

const rich = '0x1111111111111111111111111111111111111111'
const poor = '0x2222222222222222222222222222222222222222'
const provider = new JsonRpcProvider(process.argv[2])
const sizes = []
provider.on('debug', ({ action, payload }) => {
  if (action === 'sendRpcPayload') sizes.push(Array.isArray(payload) ? payload.length : 1)
})

assert.equal((await provider.getNetwork()).chainId, 4242n)

sizes.length = 0
const found = await Promise.all([
  provider.getBlockNumber(),
  provider.getBalance(rich),
  provider.getBalance(poor),
  provider.getTransactionCount(rich),
])
assert.deepEqual(found, [7, 10n ** 18n, 0n, 5])
assert.ok(Math.max(...sizes) > 1, `no batch among ${sizes}`)

const [balance, refused] = await Promise.allSettled([
  provider.send('eth_getBalance', [rich, 'latest']),
  provider.send('eth_getBalance', [rich, '0x63']),
])
assert.equal(balance.value, '0xde0b6b3a7640000')
assert.equal(refused.reason.error.code, -32001)
await assert.rejects(provider.send('eth_none', []), /method .*eth_none|Method not found/)
provider.destroy()

// Over WebSocket, where it has no batches.
const socket = new WebSocketProvider(process.argv[2].replace('http', 'ws'))
assert.equal((await socket.getNetwork()).chainId, 4242n)
assert.deepEqual(await Promise.all([socket.getBalance(rich), socket.getBlockNumber()]), [10n ** 18n, 7])
await assert.rejects(socket.send('eth_none', []), /method .*eth_none|Method not found/)
await socket.destroy()
