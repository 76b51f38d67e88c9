// A client of a node, made of npm's ws. It tries one thing after another and
// prints "ok NAME" or "not ok NAME: WHY", a line each; test/npm_test.go runs it.
//
//   node peer.mjs '{"admin": URL, "text": URL, "binary": URL, "pinged": URL, "impatient": URL}'
//
// admin is that of the node, whose application greets with "flamingo ID" and sends
// back what it gets. The others are its listeners, which differ in their options.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import WebSocket from 'ws'

const { admin, ...listeners } = JSON.parse(process.argv[2])
const patience = 60_000 // ms

// within bounds a wait.
function within(promise, what) {
  let timer
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited ${patience} ms for ${what}`)), patience)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// A Client keeps what comes until it is asked for, and knows its id.
class Client {
  #messages = []
  #wake = () => {}
  constructor(url, subprotocols, options) {
    this.socket = new WebSocket(url, subprotocols, options)
    this.pings = 0
    this.socket.on('message', (data, isBinary) => {
      this.#messages.push({ data, isBinary })
      this.#wake()
    })
    this.socket.on('ping', () => {
      this.pings++
      this.#wake()
    })
    this.closed = new Promise(done => {
      this.socket.on('close', (code, reason) => done({ code, reason: reason.toString() }))
    })
    this.closed.then(() => this.#wake())
    this.socket.on('error', err => { this.error = err })
  }

  static async open(url, subprotocols = [], options = {}) {
    const client = new Client(url, subprotocols, options)
    const { data } = await client.next()
    const greeting = data.toString()
    assert.match(greeting, /^flamingo [0-9a-f]{16}$/)
    client.id = greeting.slice('flamingo '.length)
    return client
  }

  async until(holds, what) {
    while (!holds()) {
      assert.notEqual(this.socket.readyState, WebSocket.CLOSED, `closed before ${what}: ${this.error}`)
      await within(new Promise(done => { this.#wake = done }), what)
    }
  }

  async next() {
    await this.until(() => this.#messages.length > 0, 'a message')
    return this.#messages.shift()
  }

  // echo sends a message, which is to come back as it is.
  async echo(data, isBinary) {
    this.socket.send(data, { binary: isBinary })
    await this.expect(data)
  }

  async expect(data) {
    const got = await this.next()
    const want = Buffer.from(data)
    assert.ok(got.data.equals(want), `${got.data.length} bytes came back, want the ${want.length} that were sent`)
    return got
  }

  // end waits for the end of the connection and wants its code.
  async end(code, reason) {
    const got = await within(this.closed, 'the end of the connection')
    assert.equal(got.code, code)
    if (reason !== undefined) {
      assert.equal(got.reason, reason)
    }
  }

  async leave() {
    this.socket.close(1000)
    await this.end(1000)
  }
}

// ask has the node do something with a connection.
async function ask(method, id, more, body) {
  const type = typeof body === 'string' ? 'text/plain' : 'application/octet-stream'
  const answer = await fetch(`${admin}/api/v1/connections/${id}${more}`, {
    method, body, headers: body === undefined ? {} : { 'Content-Type': type }, signal: AbortSignal.timeout(patience),
  })
  return answer.status
}

// refused wants the node to answer the handshake with a status.
async function refused(url, status, subprotocols, options) {
  const socket = new WebSocket(url, subprotocols, options)
  socket.on('error', () => {}) // that it was refused
  const [request, response] = await within(once(socket, 'unexpected-response'), 'a refusal')
  request.destroy()
  assert.equal(response.statusCode, status)
}

const text = 'grüße 🦩 '
const sizes = [0, 1, 125, 126, 127, 1000, 65535, 65536, 65537, 500_000]

const cases = {
  async 'text of every length comes back'() {
    const client = await Client.open(listeners.text)
    for (const size of sizes) {
      const whole = Buffer.byteLength(text)
      const data = text.repeat(Math.floor(size / whole)) + 'x'.repeat(size % whole)
      client.socket.send(data)
      const { isBinary } = await client.expect(data)
      assert.equal(isBinary, false)
    }
    await client.leave()
  },

  async 'bytes of every length come back'() {
    const client = await Client.open(listeners.binary)
    for (const size of sizes) {
      const data = randomBytes(size)
      client.socket.send(data)
      const { isBinary } = await client.expect(data)
      assert.equal(isBinary, true)
    }
    await client.leave()
  },

  async 'many messages come back in order'() {
    const client = await Client.open(listeners.text)
    for (let n = 0; n < 1000; n++) {
      client.socket.send(`message ${n}`)
    }
    for (let n = 0; n < 1000; n++) {
      await client.expect(`message ${n}`)
    }
    await client.leave()
  },

  async 'fragments are one message, with pings between them'() {
    const client = await Client.open(listeners.text)
    const parts = ['one ', 'two ', '', 'grü', 'ße ', 'x'.repeat(70_000)]
    for (const [at, part] of parts.entries()) {
      client.socket.send(part, { fin: at === parts.length - 1 })
      client.socket.ping()
    }
    await client.expect(parts.join(''))
    await client.leave()
  },

  async 'pings are answered with what they hold'() {
    const client = await Client.open(listeners.text)
    for (const data of ['', 'x', 'y'.repeat(125)]) {
      client.socket.ping(data)
      const [answer] = await within(once(client.socket, 'pong'), 'a pong')
      assert.equal(answer.toString(), data)
    }
    client.socket.pong('nobody has asked')
    await client.echo('still there')
    await client.leave()
  },

  async 'a client that answers pings stays'() {
    const client = await Client.open(listeners.pinged)
    await client.until(() => client.pings >= 3, 'three pings')
    await client.echo('still there')
    await client.leave()
  },

  async 'a client that answers no ping is closed'() {
    const client = await Client.open(listeners.impatient, [], { autoPong: false })
    await client.end(1008)
    assert.ok(client.pings >= 1)
  },

  async 'the node sends and closes by id'() {
    const client = await Client.open(listeners.text)
    assert.equal(await ask('POST', client.id, '/messages?ack=written', 'by id'), 200)
    await client.expect('by id')
    assert.equal(await ask('POST', client.id, '/messages?ack=written', Buffer.from([0, 0xff])), 200)
    const { isBinary } = await client.expect([0, 0xff])
    assert.equal(isBinary, true)
    assert.equal(await ask('DELETE', client.id, ''), 204)
    await client.end(1000)
    assert.equal(await ask('POST', client.id, '/messages', 'by id'), 410)
  },

  async 'whoever closes by id says why'() {
    for (const [code, reason] of [[4001, 'bye'], [1001, ''], [3000, 'grüße '.repeat(15)]]) {
      const client = await Client.open(listeners.text)
      const why = new URLSearchParams({ code, reason })
      assert.equal(await ask('DELETE', client.id, `?${why}`), 204)
      await client.end(code, reason)
    }
  },

  async 'a close of the client is answered with its code'() {
    for (const code of [1000, 1001, 1011, 3000, 4001, 4999]) {
      const client = await Client.open(listeners.text)
      client.socket.close(code, 'that is why')
      await client.end(code)
    }
    const silent = await Client.open(listeners.text)
    silent.socket.close()
    await silent.end(1005, '') // no code is answered with none
  },

  async 'what came before the close of the node is there'() {
    const client = await Client.open(listeners.text)
    const last = 'x'.repeat(200_000)
    assert.equal(await ask('POST', client.id, '/messages', last), 202)
    assert.equal(await ask('DELETE', client.id, ''), 204)
    await client.expect(last)
    await client.end(1000)
  },

  async 'a frame without a mask ends the connection'() {
    const client = await Client.open(listeners.text)
    client.socket.send('in the clear', { mask: false })
    await client.end(1002)
  },

  async 'text that is not UTF-8 ends the connection'() {
    const client = await Client.open(listeners.text)
    client.socket.send(Buffer.from([0x66, 0xff]), { binary: false })
    await client.end(1007)
  },

  async 'a message over the limit ends the connection'() {
    const client = await Client.open(listeners.text)
    client.socket.send('x'.repeat((1 << 20) + 1))
    await client.end(1009)
  },

  async 'subprotocols are agreed on, extensions are not'() {
    for (const [offers, want] of [[[], ''], [['live.v1'], 'live.v1'], [['chat', 'live.v1', 'live.v2'], 'live.v2'], [['chat'], '']]) {
      const socket = new WebSocket(listeners.text, offers)
      if (offers.length > 0 && want === '') {
        // A server may choose none; this client takes that for a fault.
        const [err] = await within(once(socket, 'error'), 'a fault')
        assert.match(err.message, /subprotocol/)
        continue
      }
      await within(once(socket, 'open'), 'the handshake')
      assert.equal(socket.protocol, want)
      assert.equal(socket.extensions, '')
      socket.terminate()
    }
  },

  async 'pages of one origin connect, and of no other'() {
    const client = await Client.open(listeners.text, [], { origin: 'https://www.example.com' })
    await client.leave()
    await refused(listeners.text, 403, [], { origin: 'https://www.example.org' })
  },

  async 'another path or version is refused'() {
    await refused(`${listeners.text}/else`, 404)
    await refused(listeners.text, 426, [], { protocolVersion: 8 })
  },

  async 'many clients at the same time hear their own'() {
    const clients = await Promise.all(Array.from({ length: 100 }, () => Client.open(listeners.text)))
    assert.equal(new Set(clients.map(client => client.id)).size, clients.length)
    for (let round = 0; round < 10; round++) {
      await Promise.all(clients.map(client => client.echo(`${client.id} ${round}`)))
    }
    await Promise.all(clients.map(client => client.leave()))
  },
}

let failed = 0
for (const [name, run] of Object.entries(cases)) {
  try {
    await run()
    console.log(`ok ${name}`)
  } catch (err) {
    failed++
    console.log(`not ok ${name}: ${String(err.stack).replaceAll('\n', ' | ')}`)
  }
}
console.log(`${Object.keys(cases).length - failed} of ${Object.keys(cases).length}`)
process.exit(failed ? 1 : 0)
