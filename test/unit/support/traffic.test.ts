// unit/support/traffic.test.ts — the traffic programs must see what a bad network does to them.
//
// Between both ends, on loopback, stands a relay that changes, drops, repeats or swaps on purpose.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { ManagedProcess } from '../../support/process.ts';

const script = (name: string) =>
  fileURLToPath(new URL(`../../support/traffic/${name}`, import.meta.url));

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
});

function start(command: string, args: string[]) {
  const child = new ManagedProcess(command, args);
  undo.push(() => child.stop());
  return child;
}

/** A free port of loopback: one that the kernel has just given and taken back. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A TCP relay whose forward direction goes through `spoil`. Resolves to its port. */
async function relay(target: number, spoil: (bytes: Buffer, offset: number) => Buffer) {
  const server = createServer((client) => {
    let offset = 0;
    const far = connect(target, '127.0.0.1');
    for (const one of [client, far]) one.on('error', () => undefined);
    client.on('data', (bytes) => {
      far.write(spoil(bytes, offset));
      offset += bytes.length;
    });
    client.on('end', () => far.end());
    far.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A stream of 300000 bytes through a relay, as the far end judged it. */
async function streamThrough(spoil: (bytes: Buffer, offset: number) => Buffer) {
  const port = await freePort();
  const listen = ['--address', '127.0.0.1', '--port', String(port)];
  const server = start(process.execPath, [script('stream.mjs'), 'serve', ...listen]);
  await server.waitFor(/ready/);
  const through = String(await relay(port, spoil));
  const order = ['--address', '127.0.0.1', '--port', through, '--bytes', '300000'];
  const client = start(process.execPath, [script('stream.mjs'), 'send', ...order]);
  const { code } = await client.exited;
  return { code, ...JSON.parse(client.stdout) };
}

describe('a stream of known content', () => {
  test('passes an honest relay', async () => {
    const result = await streamThrough((bytes) => bytes);
    expect(result).toMatchObject({ code: 0, ok: true, bytes: 300_000, firstBad: -1 });
  });

  test('shows one changed bit and where it was', async () => {
    const header = 21;
    const result = await streamThrough((bytes, offset) => {
      const at = header + 123_456 - offset;
      if (at >= 0 && at < bytes.length) bytes[at] ^= 1;
      return bytes;
    });
    expect(result).toMatchObject({ code: 1, ok: false, firstBad: 123_456 });
  });
});

type Spoil = (data: Buffer, number: number, pass: (data: Buffer) => void) => void;

/** 200 datagrams through a relay, as the receiver counted them. */
async function datagramsThrough(spoil: Spoil) {
  const port = await freePort();
  const python = '/usr/bin/python3';
  const listen = ['receive', '--address', '127.0.0.1', '--port', String(port)];
  const receiver = start(python, [script('datagrams.py'), ...listen]);
  await receiver.waitFor(/ready/);
  const middle = createSocket('udp4');
  middle.on('message', (data) => {
    spoil(data, data.readUInt32BE(0), (bytes) => middle.send(bytes, port, '127.0.0.1'));
  });
  middle.bind(0, '127.0.0.1');
  await once(middle, 'listening');
  undo.push(() => middle.close());
  const order = ['--address', '127.0.0.1', '--port', String(middle.address().port)];
  const amount = ['--count', '200', '--rate', '2000'];
  const sender = start(python, [script('datagrams.py'), 'send', ...order, ...amount]);
  await sender.exited;
  receiver.write('end 200\n');
  await receiver.exited;
  return JSON.parse(receiver.stdout.trim().split('\n').pop() ?? '');
}

describe('numbered datagrams', () => {
  const clean = { expected: 200, lost: 0, duplicated: 0, reordered: 0, corrupted: 0 };

  test('pass an honest relay', async () => {
    const result = await datagramsThrough((data, _, pass) => pass(data));
    expect(result).toMatchObject({ ...clean, received: 200 });
  });

  test('show which were lost', async () => {
    const result = await datagramsThrough((data, number, pass) => {
      if (number !== 7 && number !== 199) pass(data);
    });
    expect(result).toMatchObject({ ...clean, received: 198, lost: 2, firstLost: [7, 199] });
  });

  test('show repeats, changes and wrong order apart', async () => {
    let held: Buffer | undefined;
    const result = await datagramsThrough((data, number, pass) => {
      if (number === 5) held = data;
      else pass(data);
      if (number === 9 && held) pass(held);
      if (number === 20) pass(data);
      if (number === 30) pass(Buffer.concat([data.subarray(0, 50), Buffer.alloc(150)]));
    });
    expect(result).toMatchObject({ ...clean, duplicated: 1, reordered: 1, corrupted: 1 });
  });
});
