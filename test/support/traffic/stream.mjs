// support/traffic/stream.mjs — TCP streams of known content, verified at the other end.
//
//   node stream.mjs serve  --port P [--address A]
//       says "ready", serves until it is stopped
//   node stream.mjs send   --address A --port P --bytes N --seed S
//       this end sends, the server verifies
//   node stream.mjs fetch  --address A --port P --bytes N --seed S
//       the server sends, this end verifies
//   node stream.mjs steady --address A --port P --every MS --size BYTES [--seconds S]
//       one long connection: a chunk every MS milliseconds, echoed; ends at SIGTERM and tells the
//       longest time without news while an echo was owed.
//
// Each client prints one line of JSON. Content is a block of 64 KiB from a seeded generator, whose
// first eight bytes are the block's number: a lost, repeated, moved or changed byte is seen where
// it happens.

import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { parseArgs } from 'node:util';

const blockBytes = 65536;
const headerBytes = 21;
const magic = 0x56545354;
const modes = { send: 1, fetch: 2, steady: 3 };

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    address: { type: 'string' },
    port: { type: 'string' },
    bytes: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    every: { type: 'string', default: '10' },
    size: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '0' },
  },
});

/** Writes the content of a stream piece by piece, and checks what arrived against it. */
class Content {
  #block = Buffer.alloc(blockBytes);
  #hash = createHash('sha256');
  offset = 0;
  firstBad = -1;

  constructor(seed) {
    let state = seed >>> 0 || 1;
    for (let at = 0; at < blockBytes; at += 4) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      this.#block.writeUInt32LE(state >>> 0, at);
    }
  }

  /** The content from the current offset up to the block's end, at most `limit` bytes. */
  #peek(limit) {
    const inside = this.offset % blockBytes;
    this.#block.writeBigUInt64LE(BigInt(Math.floor(this.offset / blockBytes)), 0);
    return this.#block.subarray(inside, Math.min(blockBytes, inside + limit));
  }

  next(limit) {
    const bytes = Buffer.from(this.#peek(limit));
    this.#advance(bytes);
    return bytes;
  }

  check(bytes) {
    for (let at = 0; at < bytes.length; ) {
      const expected = this.#peek(bytes.length - at);
      const actual = bytes.subarray(at, at + expected.length);
      if (this.firstBad < 0 && !actual.equals(expected)) {
        this.firstBad = this.offset + actual.findIndex((byte, i) => byte !== expected[i]);
      }
      this.#advance(actual);
      at += actual.length;
    }
  }

  #advance(bytes) {
    this.#hash.update(bytes);
    this.offset += bytes.length;
  }

  report() {
    const { offset, firstBad } = this;
    return { bytes: offset, firstBad, sha256: this.#hash.copy().digest('hex') };
  }
}

function header(mode, seed, bytes) {
  const buffer = Buffer.alloc(headerBytes);
  buffer.writeUInt32BE(magic, 0);
  buffer.writeUInt8(mode, 4);
  buffer.writeUInt32BE(seed >>> 0, 5);
  buffer.writeBigUInt64BE(BigInt(bytes), 9);
  return buffer;
}

async function sendAll(socket, content, bytes) {
  while (content.offset < bytes) {
    const piece = content.next(bytes - content.offset);
    if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve));
  }
}

function serve() {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    let head = Buffer.alloc(0);
    const onHead = (bytes) => {
      head = Buffer.concat([head, bytes]);
      if (head.length < headerBytes) return;
      socket.off('data', onHead);
      if (head.readUInt32BE(0) !== magic) return socket.destroy();
      const order = {
        mode: head.readUInt8(4),
        seed: head.readUInt32BE(5),
        bytes: Number(head.readBigUInt64BE(9)),
      };
      answer(socket, order, head.subarray(headerBytes));
    };
    socket.on('data', onHead);
  });
  const listening = () => process.stdout.write('ready\n');
  server.listen({ port: Number(values.port), host: values.address ?? '::' }, listening);
}

function answer(socket, order, rest) {
  const content = new Content(order.seed);
  if (order.mode === modes.fetch) {
    void sendAll(socket, content, order.bytes).then(() => socket.end());
    return;
  }
  if (order.mode === modes.steady) {
    if (rest.length > 0) socket.write(rest);
    socket.pipe(socket);
    return;
  }
  const take = (bytes) => {
    content.check(bytes);
    if (content.offset >= order.bytes) socket.end(`${JSON.stringify(content.report())}\n`);
  };
  socket.on('data', take);
  take(rest);
}

function open(mode) {
  const socket = connect({ host: values.address, port: Number(values.port), noDelay: true });
  socket.on('error', (error) => {
    print({ ok: false, error: error.message });
    process.exit(1);
  });
  socket.write(header(mode, Number(values.seed), Number(values.bytes)));
  return socket;
}

function print(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

function finish(start, mine, theirs, extra = {}) {
  const seconds = (performance.now() - start) / 1000;
  const bytes = Number(values.bytes);
  const ok = theirs.firstBad === -1 && theirs.bytes === bytes && theirs.sha256 === mine.sha256;
  print({ ok, seconds, ...theirs, ...extra });
  process.exitCode = ok ? 0 : 1;
}

async function send() {
  const start = performance.now();
  const socket = open(modes.send);
  let said = '';
  socket.on('data', (bytes) => (said += bytes));
  const content = new Content(Number(values.seed));
  await sendAll(socket, content, Number(values.bytes));
  await new Promise((resolve) => socket.once('close', resolve));
  const theirs = said ? JSON.parse(said) : { bytes: 0, firstBad: -1, sha256: '' };
  finish(start, content.report(), theirs);
}

async function fetchAll() {
  const start = performance.now();
  const socket = open(modes.fetch);
  const content = new Content(Number(values.seed));
  let last = start;
  let maxGapMs = 0;
  socket.on('data', (bytes) => {
    maxGapMs = Math.max(maxGapMs, performance.now() - last);
    last = performance.now();
    content.check(bytes);
  });
  await new Promise((resolve) => socket.once('close', resolve));
  const wanted = new Content(Number(values.seed));
  while (wanted.offset < Number(values.bytes)) wanted.next(Number(values.bytes) - wanted.offset);
  finish(start, wanted.report(), content.report(), { maxGapMs: Math.round(maxGapMs) });
}

function steady() {
  const socket = open(modes.steady);
  const out = new Content(Number(values.seed));
  const back = new Content(Number(values.seed));
  let last = performance.now();
  let maxGapMs = 0;
  let ending = false;
  const news = () => {
    // Time counts only while an echo is owed.
    maxGapMs = Math.max(maxGapMs, performance.now() - last);
    last = performance.now();
  };
  socket.on('data', (bytes) => {
    if (back.offset === 0) process.stdout.write('ready\n');
    news();
    back.check(bytes);
  });
  const timer = setInterval(() => {
    if (out.offset === back.offset) last = performance.now();
    socket.write(out.next(Number(values.size)));
  }, Number(values.every));
  const end = () => {
    if (ending) return;
    ending = true;
    clearInterval(timer);
    socket.end();
    // Whoever waits for the last echoes has five seconds; what is then missing is told as it is.
    setTimeout(() => socket.destroy(), 5000).unref();
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  if (Number(values.seconds) > 0) setTimeout(end, Number(values.seconds) * 1000);
  socket.once('close', () => {
    clearInterval(timer);
    if (out.offset !== back.offset) news();
    const ok = ending && back.firstBad === -1 && back.offset === out.offset;
    const { offset: sent } = out;
    const closedEarly = !ending;
    print({ ok, sent, closedEarly, maxGapMs: Math.round(maxGapMs), ...back.report() });
    process.exit(ok ? 0 : 1);
  });
}

const verbs = { serve, send, fetch: fetchAll, steady };
const verb = verbs[positionals[0]];
if (!verb) {
  process.stderr.write('stream.mjs: the verb is serve, send, fetch or steady\n');
  process.exit(2);
}
void verb();
