// control/pcapng.test.ts — captures that tshark accepts, and that our reader reads back.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type CaptureItem,
  lostPackets,
  PcapngReader,
  PcapngWriter,
  withoutPackets,
} from '../../../src/control/pcapng.ts';
import { mustRun, run } from '../../support/process.ts';
import { tsharkFields } from '../../support/tshark.ts';
import { captureTimeNs, twoPackets, udpFrame } from './fake-switch.ts';

const directory = mkdtempSync(join(tmpdir(), 'vtep-pcapng-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function gather(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

const hasTshark = (await run('tshark', ['-v']).catch(() => ({ code: 1 }))).code === 0;

describe('a capture', () => {
  it.runIf(hasTshark)(
    'is read by tshark with interfaces, times, lengths and comments',
    async () => {
      const path = join(directory, 'two.pcapng');
      writeFileSync(path, await gather(twoPackets()));
      const fields = await tsharkFields(path, [
        'frame.interface_name',
        'frame.interface_description',
        'frame.time_epoch',
        'frame.len',
        'frame.cap_len',
        'frame.comment',
        'udp.dstport',
      ]);
      expect(fields.map((frame) => Object.values(frame).map((values) => values[0]))).toEqual([
        ['c1', 'veth1', '1767323045.123456789', '46', '46', 'output to c2', '53'],
        ['eth0', 'veth1', '1767323045.123456789', '46', '20', 'dropped: unknown_mac', undefined],
      ]);
    },
  );

  it.runIf(hasTshark)('says to capinfos which program and host wrote it', async () => {
    const path = join(directory, 'head.pcapng');
    const header = new PcapngWriter({ application: 'vtepd 9', host: 'h7', system: 'Linux' });
    writeFileSync(path, header.header());
    const { stdout } = await mustRun('capinfos', ['-F', '-k', path]);
    expect(stdout).toContain('vtepd 9');
    expect(stdout).toContain('host h7');
  });

  it.runIf(hasTshark)(
    'with odd lengths, empty comments and lost packets is still whole',
    async () => {
      const writer = new PcapngWriter({ application: 'vtepd', host: 'h' });
      const pieces = [writer.header()];
      for (let length = 14; length < 20; length += 1) {
        const bytes = new Uint8Array(length);
        pieces.push(
          writer.packet({ interfaceName: 'p', timeNs: 1n, bytes, comment: 'x'.repeat(length) }),
        );
        pieces.push(writer.packet({ interfaceName: 'q', timeNs: 1n, bytes, comment: '' }));
      }
      pieces.push(lostPackets(3, 5n));
      const path = join(directory, 'odd.pcapng');
      writeFileSync(path, Buffer.concat(pieces));
      const fields = await tsharkFields(path, ['frame.len', 'frame.interface_id']);
      expect(fields).toHaveLength(12);
      expect(fields.map((frame) => frame['frame.interface_id'][0]).slice(0, 3)).toEqual([
        '0',
        '1',
        '0',
      ]);
    },
  );

  it.each([1, 3, 7, 64, 10_000])('is read back from pieces of %d bytes', async (size) => {
    const all = await gather(twoPackets());
    const reader = new PcapngReader();
    const items: CaptureItem[] = [];
    for (let at = 0; at < all.length; at += size)
      items.push(...reader.push(all.subarray(at, at + size)));
    expect(items).toMatchObject([
      {
        kind: 'packet',
        packet: {
          interfaceName: 'c1',
          interfaceDescription: 'veth1',
          timeNs: captureTimeNs,
          originalBytes: 46,
          comment: 'output to c2',
        },
      },
      { kind: 'packet', packet: { interfaceName: 'eth0', originalBytes: 46 } },
    ]);
    const [first] = items;
    expect(first?.kind === 'packet' && Buffer.from(first.packet.bytes)).toEqual(udpFrame);
  });

  it('that lost packets says how many', () => {
    const reader = new PcapngReader();
    expect(reader.push(lostPackets(70_000, captureTimeNs))).toEqual([
      { kind: 'lost', packets: 70_000 },
    ]);
  });

  it('is refused when it is something else', () => {
    expect(() => new PcapngReader().push(Buffer.from('HTTP/1.1 200 OK'))).toThrow('not a pcapng');
    const header = Buffer.from(new PcapngWriter({ application: 'a', host: 'b' }).header());
    header.writeUInt32BE(0x1a2b3c4d, 8);
    expect(() => new PcapngReader().push(header)).toThrow('little-endian');
  });
});

describe('a piece without its packets', () => {
  it('keeps the description of the interface', () => {
    const writer = new PcapngWriter({ application: 'a', host: 'b' });
    const packet = { interfaceName: 'p', timeNs: 1n, bytes: udpFrame };
    const first = writer.packet(packet);
    const second = writer.packet(packet);
    const { kept, packets } = withoutPackets(first);
    expect(packets).toBe(1);
    expect(kept.length).toBe(first.length - second.length);
    expect(withoutPackets(second)).toEqual({ kept: Buffer.alloc(0), packets: 1 });
    expect(withoutPackets(writer.header()).packets).toBe(0);
    const reader = new PcapngReader();
    reader.push(kept);
    expect(reader.push(second)).toMatchObject([{ packet: { interfaceName: 'p' } }]);
  });
});
