// unit/support/captures.test.ts — capture files, and tshark as a judge that must also be able to
// condemn.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { concat, u32 } from '../../support/bytes.ts';
import { eth, toHex } from '../../support/packet.ts';
import { parseCapture, pcapBytes, readCapture, readFrames, writePcap } from '../../support/pcap.ts';
import { mustRun } from '../../support/process.ts';
import { firstLack } from '../../support/requires.ts';
import {
  complaints,
  expectNoExpertErrors,
  tsharkFields,
  tsharkJson,
  tsharkProtocols,
} from '../../support/tshark.ts';

const directory = mkdtempSync(join(tmpdir(), 'vtep-captures-'));
afterAll(() => rmSync(directory, { recursive: true }));

const noTshark = firstLack(['command:tshark']);
const inner = eth()
  .ip()
  .tcp({ flags: 'S', options: [{ mss: 1460 }] });
const vxlan = eth().ip({ src: '172.31.1.1', dst: '172.31.1.2' }).udp({ src: 50000, dst: 4789 });
const frames = [inner.build(), vxlan.vxlan(100).carry(inner).build(), eth().arp().build()];

describe('capture files', () => {
  test('a pcap that we wrote reads back as the same frames', () => {
    const path = join(directory, 'own.pcap');
    writePcap(path, frames);
    expect(readFrames(path).map(toHex)).toEqual(frames.map(toHex));
    expect(readCapture(path)[2]).toMatchObject({ time: 0.002, originalBytes: frames[2].length });
  });

  test('a big-endian pcap in nanoseconds is read', () => {
    const header = u32(0xa1b23c4d, 0x00020004, 0, 0, 65535, 1);
    const file = concat([header, u32(5, 500_000_000, 3, 60), Uint8Array.of(1, 2, 3)]);
    expect(parseCapture(file)).toMatchObject([{ time: 5.5, originalBytes: 60 }]);
  });

  test('a cut or foreign file is refused with the place', () => {
    const file = pcapBytes(frames);
    expect(() => parseCapture(file.subarray(0, file.length - 1))).toThrow(/packet cut at \d+/);
    expect(() => parseCapture(file.subarray(0, 30))).toThrow('record header cut at 24');
    expect(() => parseCapture(new Uint8Array(24))).toThrow('not a capture');
    expect(() => parseCapture(new Uint8Array(3))).toThrow('a capture of 3 bytes has no header');
  });

  test.skipIf(noTshark)('a pcapng that Wireshark wrote is read, comments too', async () => {
    const [plain, noted] = [join(directory, 'plain.pcap'), join(directory, 'noted.pcapng')];
    writePcap(plain, frames);
    await mustRun('editcap', ['-F', 'pcapng', '-a', '2:verdict: dropped', plain, noted]);
    const packets = readCapture(noted);
    expect(packets.map(({ bytes }) => toHex(bytes))).toEqual(frames.map(toHex));
    expect(packets.map(({ comments: list }) => list)).toEqual([[], ['verdict: dropped'], []]);
    expect(packets[1].time).toBeCloseTo(0.001, 6);
  });
});

describe.skipIf(noTshark)('tshark', () => {
  test('reads the fields of every layer, outermost first', async () => {
    const [first, second] = await tsharkFields(frames, ['ip.src', 'vxlan.vni']);
    expect(first).toEqual({ 'ip.src': ['10.0.0.1'], 'vxlan.vni': [] });
    expect(second).toEqual({ 'ip.src': ['172.31.1.1', '10.0.0.1'], 'vxlan.vni': ['100'] });
    expect((await tsharkProtocols(frames))[1]).toMatch(/udp:vxlan:eth:ethertype:ip:tcp/);
    expect((await tsharkJson(frames))[2]).toHaveProperty('arp');
  });

  test('has no complaint about right packets, nor about UDP without a checksum', async () => {
    const bare = eth().ip().udp({ checksum: 0 }).payload(9).build();
    await expectNoExpertErrors([...frames, bare]);
  });

  test('does not take a retransmission for a fault', async () => {
    const data = eth().ip().tcp({ flags: 'PA', seq: 1, ack: 1 }).payload('data').build();
    const later = eth().ip().tcp({ flags: 'PA', seq: 9, ack: 1 }).payload('data').build();
    const all = await complaints([data, later, data]);
    expect(all.map(({ group }) => group)).toContain('sequence');
    await expectNoExpertErrors([data, later, data]);
  });

  const ip6 = eth().ip6();
  test.each([
    ['a wrong IP checksum', eth().ip({ checksum: 1 }).udp().build()],
    ['a wrong UDP checksum', eth().ip().udp({ checksum: 1 }).build()],
    ['a wrong TCP checksum', eth().ip().tcp({ checksum: 1 }).build()],
    ['a wrong ICMP checksum', eth().ip().icmp({ type: 8, checksum: 1 }).build()],
    ['a wrong ICMPv6 checksum', ip6.icmp6({ type: 128, checksum: 1 }).payload(8).build()],
    ['a wrong SCTP checksum', eth().ip().sctp({ checksum: 1 }).sctpChunk({ type: 11 }).build()],
    [
      'a wrong checksum inside a tunnel',
      vxlan
        .vxlan(1)
        .carry(eth().ip().tcp({ checksum: 1 }))
        .build(),
    ],
    ['a truncated header', eth().ip().tcp().truncated(40)],
    ['a UDP length beyond the packet', eth().ip().udp({ length: 99 }).payload(8).build()],
    ['no UDP checksum over IPv6', ip6.udp({ checksum: 0 }).payload(8).build()],
  ])('condemns %s', async (_, bytes) => {
    await expect(expectNoExpertErrors([bytes])).rejects.toThrow(/tshark complains:\nframe 1: /);
  });

  test('accepts no UDP checksum over IPv6 where that is meant', async () => {
    const bytes = ip6.udp({ dst: 4789, checksum: 0 }).vxlan(1).carry(inner).build();
    await expectNoExpertErrors([bytes], { zeroUdp6: true });
  });
});
