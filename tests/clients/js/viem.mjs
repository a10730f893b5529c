// viem over HTTP, its calls gathered into batches, and over WebSocket.
import assert from 'node:assert/strict'
import { createPublicClient, defineChain, http, webSocket } from 'viem'

const url = process.argv[2]
const rich = '0x1111111111111111111111111111111111111111'
const poor = '0x2222222222222222222222222222222222222222'
const chain = defineChain({
  id: 4242,
  name: 'test',
  nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [url] } },
})

let sent = 0
const transport = http(url, { batch: true, retryCount: 0, onFetchRequest: () => { sent += 1 } })
const client = createPublicClient({ chain, transport })

assert.equal(await client.getChainId(), 4242)
assert.equal(sent, 1)

const found = await Promise.all([
  client.getBlockNumber({ cacheTime: 0 }),
  client.getBalance({ address: rich }),
  client.getBalance({ address: poor }),
  client.getTransactionCount({ address: rich }),
  client.getGasPrice(),
])
assert.deepEqual(found, [7n, 10n ** 18n, 0n, 5, 1_000_000_000n])
assert.equal(sent, 2)

const [balance, refused] = await Promise.allSettled([
  client.getBalance({ address: rich }),
  client.getBalance({ address: rich, blockNumber: 99n }),
])
assert.equal(balance.value, 10n ** 18n)
assert.equal(refused.reason.walk((error) => error.code !== undefined).code, -32001)
assert.equal(sent, 3)

await assert.rejects(client.request({ method: 'eth_none' }), { name: 'MethodNotFoundRpcError' })

// Over WebSocket, where it has no batches.
const socket = createPublicClient({ chain, transport: webSocket(url.replace('http', 'ws'), { retryCount: 0 }) })
assert.equal(await socket.getChainId(), 4242)
assert.deepEqual(
  await Promise.all([socket.getBalance({ address: rich }), socket.getBalance({ address: poor })]),
  [10n ** 18n, 0n],
)
await assert.rejects(socket.request({ method: 'eth_none' }), { name: 'MethodNotFoundRpcError' })
const { close } = await socket.transport.getRpcClient()
close()
