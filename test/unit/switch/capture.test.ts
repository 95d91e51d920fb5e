// switch/capture.test.ts — ports are watched for those who capture, and for no one who has left.

import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedPacket, PcapngReader } from '../../../src/control/pcapng.ts';
import { captureVerdict } from '../../../src/datapath/layout.ts';
import { dropReason } from '../../../src/flow/drop-reasons.ts';
import { Captures } from '../../../src/switch/capture.ts';
import { EventPump } from '../../../src/switch/event-pump.ts';
import type { Names } from '../../../src/switch/names.ts';
import { FakeNative } from './fake-native.ts';

const portNames = new Map([
  [1, 'c1'],
  [3, 'u1'],
]);
const names: Names = {
  portName: (number) => portNames.get(number),
  portNumber: () => undefined,
  tunnelName: () => undefined,
  groupName: () => undefined,
};

let native: FakeNative;
let captures: Captures;
let pump: EventPump;

beforeEach(() => {
  native = new FakeNative();
  captures = new Captures(names, 'vtepd test', 'h1');
  captures.attach(native);
  pump = new EventPump((event) => {
    if (event.kind === 'capture') captures.take(event);
  });
  pump.attach(native);
});

/** Packets and losses of a whole capture. */
async function all(capture: AsyncIterable<Uint8Array>) {
  const reader = new PcapngReader();
  const packets: CapturedPacket[] = [];
  for await (const piece of capture) {
    for (const item of reader.push(piece)) if (item.kind === 'packet') packets.push(item.packet);
  }
  return packets;
}

const frame = (byte: number) => new Uint8Array(60).fill(byte);

describe('a capture', () => {
  it('has the packets of its ports only, with interface and verdict', async () => {
    const capture = captures.read([1], { count: 3 });
    native.captured({ port: 1, packet: frame(1), otherPort: 3, flow: 7 });
    native.captured({ port: 2, packet: frame(2) });
    native.captured({ port: 1, packet: frame(3), out: true, otherPort: 3 });
    const verdict = captureVerdict.Dropped;
    native.captured({ port: 1, packet: frame(4), verdict, dropReason: dropReason.SpoofedIp });
    pump.drain();
    const packets = await all(capture);
    expect(packets.map(({ bytes }) => bytes[0])).toEqual([1, 3, 4]);
    expect(packets.map(({ interfaceName }) => interfaceName)).toEqual(['c1', 'c1', 'c1']);
    expect(packets.map(({ comment }) => comment)).toEqual([
      'rx: forwarded to u1, flow 7',
      'tx: came in by u1',
      'rx: dropped, spoofed_ip',
    ]);
  });

  it('of all ports has those that nobody can name', async () => {
    const capture = captures.read([], { count: 1 });
    native.captured({ port: 9, packet: frame(1), verdict: captureVerdict.Upcall });
    pump.drain();
    const [packet] = await all(capture);
    expect(packet).toMatchObject({ interfaceName: 'port 9', comment: 'rx: upcall' });
  });

  it('gives the bytes of what it read back to the ring', () => {
    native.captured({ port: 1, packet: frame(1) });
    expect(native.takeEvents()).toBeGreaterThan(0);
    pump.drain();
    expect(native.takeEvents()).toBe(0);
  });

  it.each([1, 20])('has %i packets that came while the ring was read', async (late) => {
    const capture = captures.read([1], { count: late + 1 });
    const free = native.freeEvents.bind(native);
    let left = late;
    native.freeEvents = (worker, bytes) => {
      if (bytes > 0 && left > 0) {
        left -= 1;
        native.captured({ port: 1, packet: frame(2) });
      }
      free(worker, bytes);
    };
    native.captured({ port: 1, packet: frame(1) });
    pump.drain();
    expect(await all(capture)).toHaveLength(late + 1);
    expect(native.takeEvents()).toBe(0);
  });

  it('says how many packets a slow reader lost', async () => {
    const capture = captures.read([], { count: 4096 });
    for (let index = 0; index < 5000; index += 1) {
      native.captured({ port: 1, packet: frame(1) });
      pump.drain();
    }
    const reader = new PcapngReader();
    let lost = 0;
    for await (const piece of capture) {
      for (const item of reader.push(piece)) if (item.kind === 'lost') lost += item.packets;
    }
    expect(lost).toBe(5000 - 4096);
  });
});

describe('ports are watched', () => {
  it('exactly while somebody reads them', async () => {
    const first = captures.read([1, 3], {})[Symbol.asyncIterator]();
    expect(native.take()).toEqual(['setCapture 1 on', 'setCapture 3 on']);
    const second = captures.read([1], {})[Symbol.asyncIterator]();
    expect(native.take()).toEqual([]);
    await first.return?.();
    expect(native.take()).toEqual(['setCapture 3 off']);
    await second.return?.();
    await second.return?.();
    expect(native.take()).toEqual(['setCapture 1 off']);
  });

  it('all at once by the number 0', async () => {
    const capture = captures.read([], {})[Symbol.asyncIterator]();
    await capture.return?.();
    expect(native.take()).toEqual(['setCapture 0 on', 'setCapture 0 off']);
  });

  it('until the count is reached', async () => {
    const capture = captures.read([1], { count: 1 });
    native.captured({ port: 1, packet: frame(1) });
    pump.drain();
    await all(capture);
    expect(native.take()).toEqual(['setCapture 1 on', 'setCapture 1 off']);
  });

  it('until the seconds are over, also when no packet comes', async () => {
    vi.useFakeTimers();
    try {
      const done = all(captures.read([1], { seconds: 2 }));
      await vi.advanceTimersByTimeAsync(1999);
      expect(native.take()).toEqual(['setCapture 1 on']);
      await vi.advanceTimersByTimeAsync(1);
      expect(await done).toEqual([]);
      expect(native.take()).toEqual(['setCapture 1 off']);
    } finally {
      vi.useRealTimers();
    }
  });

  it('until a reader leaves that waits on an idle port', async () => {
    const capture = captures.read([1], {})[Symbol.asyncIterator]();
    await capture.next();
    const waiting = capture.next();
    await capture.return?.();
    expect(await waiting).toMatchObject({ done: true });
    expect(native.take()).toEqual(['setCapture 1 on', 'setCapture 1 off']);
  });

  it('on the next data path too, and nowhere while there is none', async () => {
    const capture = captures.read([1], {})[Symbol.asyncIterator]();
    captures.attach(undefined);
    pump.drain();
    const next = new FakeNative();
    captures.attach(next);
    expect(next.take()).toEqual(['setCapture 1 on']);
    captures.attach(undefined);
    await capture.return?.();
    captures.attach(next);
    expect(next.take()).toEqual([]);
  });
});
