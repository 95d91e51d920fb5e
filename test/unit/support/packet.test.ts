// unit/support/packet.test.ts — the packet builder, judged by scapy, which builds the same
// packets in its own words.

import { beforeAll, expect, describe as suite, test } from 'vitest';
import { ipBytes, ipText, toHex } from '../../support/bytes.ts';
import {
  describe,
  dissect,
  eth,
  expectPacket,
  fragment4,
  fragment6,
  fromHex,
  type Packet,
  packet,
} from '../../support/packet.ts';
import { firstLack } from '../../support/requires.ts';
import { scapyBuild, scapyDissect, scapyRecomputed } from '../../support/scapy.ts';

interface Case {
  name: string;
  ours: Packet;
  scapy: string;
}

const frame = eth({ src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02' });
const E = 'Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")';
const I4 = 'IP(src="10.0.0.1", dst="10.0.0.2", id=0)';
const I6 = 'IPv6(src="fd00:10::1", dst="fd00:10::2")';
const outer = frame.ip({ src: '172.31.1.1', dst: '172.31.1.2', df: true });
const O4 = `${E}/IP(src="172.31.1.1", dst="172.31.1.2", id=0, flags="DF")`;

const cases: Case[] = [
  {
    name: 'an ARP request',
    ours: eth({ dst: 'ff:ff:ff:ff:ff:ff' }).arp({ senderIp: '10.0.0.1', targetIp: '10.0.0.2' }),
    scapy:
      'Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")/' +
      'ARP(hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", hwdst="00:00:00:00:00:00", pdst="10.0.0.2")',
  },
  {
    name: 'UDP with all IPv4 fields',
    ours: frame.ip({ ttl: 3, tos: 0xb9, id: 77, df: true }).udp({ src: 7, dst: 53 }).payload('odd'),
    scapy:
      `${E}/IP(src="10.0.0.1", dst="10.0.0.2", ttl=3, tos=0xb9, id=77, flags="DF")` +
      '/UDP(sport=7, dport=53)/b"odd"',
  },
  {
    name: 'UDP without a checksum',
    ours: frame.ip().udp({ src: 7, dst: 53, checksum: 0 }).payload('x'),
    scapy: `${E}/${I4}/UDP(sport=7, dport=53, chksum=0)/b"x"`,
  },
  {
    name: 'UDP over IPv6 with class and label',
    ours: frame.ip6({ hopLimit: 9, trafficClass: 0x2e, flowLabel: 0x12345 }).udp({ dst: 53 }),
    scapy:
      `${E}/IPv6(src="fd00:10::1", dst="fd00:10::2", hlim=9, tc=0x2e, fl=0x12345)` +
      '/UDP(sport=1024, dport=53)',
  },
  {
    name: 'IPv4 options before TCP options',
    ours: frame.ip({ options: '94040000' }).tcp({
      ...{ src: 1, dst: 80, seq: 1000, flags: 'S', window: 64240 },
      options: [
        { mss: 1460 },
        { sackPermitted: true },
        { timestamps: [1, 2] },
        { nop: true },
        { windowScale: 7 },
      ],
    }),
    scapy:
      `${E}/IP(src="10.0.0.1", dst="10.0.0.2", id=0, options=[IPOption_Router_Alert()])` +
      '/TCP(sport=1, dport=80, seq=1000, flags="S", window=64240, options=[("MSS", 1460), ' +
      '("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)])',
  },
  {
    name: 'every TCP flag, urgent and data',
    ours: frame.ip6().tcp({ ack: 5, flags: 'FSRPAUEC', urgent: 3, window: 1 }).payload('hello'),
    scapy:
      `${E}/${I6}/TCP(sport=1024, dport=20100, ack=5, flags="FSRPAUEC", urgptr=3, window=1)` +
      '/b"hello"',
  },
  {
    name: 'two VLAN tags',
    ours: frame
      .serviceVlan(100)
      .vlan({ id: 10, priority: 5, dei: true })
      .ip()
      .echo({ id: 9, seq: 2 }),
    scapy: `${E}/Dot1AD(vlan=100)/Dot1Q(vlan=10, prio=5, id=1)/${I4}/ICMP(id=9, seq=2)`,
  },
  {
    name: 'an ICMPv6 echo behind hop-by-hop and destination options',
    ours: frame.ip6().extension({ type: 'hopByHop' }).extension({ type: 'destination' }).echo6(),
    scapy: `${E}/${I6}/IPv6ExtHdrHopByHop()/IPv6ExtHdrDestOpt()/ICMPv6EchoRequest(id=1, seq=1)`,
  },
  {
    name: 'UDP behind a routing header, summed over the final destination',
    ours: frame
      .ip6()
      .routing({ addresses: ['fd00:99::9'] })
      .udp({ dst: 53 }),
    scapy:
      `${E}/${I6}/IPv6ExtHdrRouting(type=2, addresses=["fd00:99::9"])` +
      '/UDP(sport=1024, dport=53)',
  },
  {
    name: 'a neighbour solicitation',
    ours: frame
      .ip6({ hopLimit: 255 })
      .neighborSolicit({ target: 'fe80::2', mac: '02:00:00:00:00:01' }),
    scapy:
      `${E}/IPv6(src="fd00:10::1", dst="fd00:10::2", hlim=255)/ICMPv6ND_NS(tgt="fe80::2")` +
      '/ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01")',
  },
  {
    name: 'a neighbour advertisement',
    ours: frame
      .ip6({ hopLimit: 255 })
      .neighborAdvert({ target: 'fe80::2', mac: '02:00:00:00:00:02', flags: 'RSO' }),
    scapy:
      `${E}/IPv6(src="fd00:10::1", dst="fd00:10::2", hlim=255)` +
      '/ICMPv6ND_NA(tgt="fe80::2", R=1, S=1, O=1)' +
      '/ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:02")',
  },
  {
    name: 'an SCTP chunk with CRC32c',
    ours: frame
      .ip()
      .sctp({ tag: 0xdeadbeef })
      .sctpChunk({ type: 6, value: fromHex('000c0000') }),
    scapy:
      `${E}/${I4}/SCTP(sport=1024, dport=20100, tag=0xdeadbeef)` +
      '/SCTPChunkAbort(error_causes=bytes.fromhex("000c0000"))',
  },
  {
    name: 'a frame in VXLAN',
    ours: outer
      .udp({ src: 50000, dst: 4789, checksum: 0 })
      .vxlan(0xabcdef)
      .carry(frame.ip().echo()),
    scapy:
      `${O4}/UDP(sport=50000, dport=4789, chksum=0)/VXLAN(vni=0xabcdef, flags=8)` +
      `/${E}/${I4}/ICMP(id=1, seq=1)`,
  },
  {
    name: 'a frame in Geneve with options, over IPv6 with a checksum',
    ours: frame
      .ip6()
      .udp({ src: 50000, dst: 6081 })
      .geneve({
        vni: 100,
        options: [
          { class: 0x0102, type: 1, critical: true, data: '00000007' },
          { class: 0xff01, type: 2, data: '0001020304050607' },
        ],
      })
      .carry(frame.ip().udp().payload('inner')),
    scapy:
      `${E}/${I6}/UDP(sport=50000, dport=6081)/GENEVE(vni=100, critical=1, options=[` +
      'GeneveOptions(classid=0x0102, type=0x81, data=bytes.fromhex("00000007")), ' +
      'GeneveOptions(classid=0xff01, type=2, data=bytes.fromhex("0001020304050607"))])' +
      `/${E}/${I4}/UDP(sport=1024, dport=20100)/b"inner"`,
  },
  {
    name: 'an IPv6 fragment',
    ours: frame
      .ip6()
      .fragment6({ offset: 1448, more: true, id: 5, nextHeader: 17 })
      .payload('rest'),
    scapy: `${E}/${I6}/IPv6ExtHdrFragment(offset=181, m=1, id=5, nh=17)/b"rest"`,
  },
  {
    name: 'wrong lengths and checksums, when asked for',
    ours: frame
      .ip({ version: 5, ihl: 4, length: 9, checksum: 0x1234 })
      .udp({ length: 3, checksum: 0x5678 }),
    scapy:
      `${E}/IP(src="10.0.0.1", dst="10.0.0.2", id=0, version=5, ihl=4, len=9, chksum=0x1234, ` +
      'proto=17)' +
      '/UDP(sport=1024, dport=20100, len=3, chksum=0x5678)',
  },
];

const missing = firstLack(['command:python3']);

suite.skipIf(missing)('the builder makes what scapy makes', () => {
  let theirs: Uint8Array[];
  beforeAll(async () => {
    theirs = await scapyBuild(cases.map((one) => one.scapy));
  }, 60_000);
  test.each(cases.map((one, index) => ({ ...one, index })))('$name', ({ ours, index }) => {
    expectPacket(ours.build(), theirs[index]);
  });

  test('scapy reads our tunnel packets as the layers we meant', async () => {
    const inside = frame.vlan(5).ip6().tcp({ flags: 'S' });
    const tunnel = outer.udp({ src: 50000, dst: 4789 }).vxlan(7).carry(inside);
    const [layers] = await scapyDissect([tunnel.build()]);
    expect(layers.map(({ layer }) => layer)).toEqual([
      ...['Ether', 'IP', 'UDP', 'VXLAN', 'Ether', 'Dot1Q', 'IPv6', 'TCP'],
    ]);
    expect(layers[3].fields.vni).toBe('7');
  }, 60_000);

  test('scapy finds the same checksums anew, and different ones where ours are wrong', async () => {
    const right = outer.udp({ src: 5, dst: 4789 }).vxlan(7).carry(frame.ip().tcp().payload(33));
    const wrong = frame.ip().tcp({ checksum: 1 });
    const [same, different] = await scapyRecomputed([right.build(), wrong.build()]);
    expectPacket(same, right);
    expect(() => expectPacket(different, wrong)).toThrow(/tcp.checksum/);
  }, 60_000);
});

suite('fragments', () => {
  const whole = frame.vlan(3).ip({ id: 9 }).udp().payload(3000).build();

  test('of IPv4 cover the packet, fit the MTU and have right headers', () => {
    const pieces = fragment4(whole, 1500);
    const headers = pieces.map((piece) => dissect(piece)[2].fields);
    expect(headers.map((fields) => [fields.fragmentOffset, fields.mf, fields.length])).toEqual([
      [0, 1, 1500],
      [1480, 1, 1500],
      [2960, 0, 20 + 3008 - 2960],
    ]);
    expect(pieces.some((piece) => describe(piece).includes('wrong'))).toBe(false);
    const content = pieces.map((piece) => toHex(piece.subarray(38))).join('');
    expect(content).toBe(toHex(whole.subarray(38)));
  });

  test('of IPv6 carry the next header and the offsets', () => {
    const pieces = fragment6(frame.ip6().udp().payload(3000).build(), 1500, 42);
    const headers = pieces.map((piece) => dissect(piece)[2]);
    expect(headers.map(({ fields }) => fields.offset)).toEqual([0, 1448, 2896]);
    expect(headers.map(({ fields }) => fields.more)).toEqual([1, 1, 0]);
    expect(headers.every(({ fields }) => fields.id === 42 && fields.nextHeader === 17)).toBe(true);
  });
});

suite('reading packets back', () => {
  test('shows every layer, and a wrong checksum with the right one', () => {
    const text = describe(
      outer
        .udp({ src: 5, dst: 4789 })
        .vxlan(7)
        .carry(frame.ip({ checksum: 1 }).udp())
        .build(),
    );
    expect(text.split('\n').map((line) => line.trim().split(' ')[0])).toEqual([
      ...['eth', 'ip', 'udp', 'vxlan', 'eth', 'ip', 'udp'],
    ]);
    expect(text).toMatch(/checksum=0x0001\(wrong,right:0x66cf\)/);
  });

  test('survives a cut at any byte', () => {
    const options = [{ class: 1, type: 2, data: '01020304' }];
    const long = frame
      .ip6()
      .extension({ type: 'hopByHop' })
      .udp({ dst: 6081 })
      .geneve({ vni: 1, options })
      .carry(
        frame
          .serviceVlan(1)
          .vlan(2)
          .ip()
          .tcp({ options: [{ mss: 1 }] }),
      );
    const bytes = long.build();
    for (let length = 0; length < bytes.length; length += 1) {
      expect(describe(bytes.subarray(0, length)), `cut to ${length}`).toContain('truncated');
    }
    expect(describe(bytes)).not.toContain('truncated');
  });

  test('a different packet fails with the fields that differ and nothing else', () => {
    const message = (() => {
      try {
        expectPacket(frame.ip({ ttl: 63 }).udp().build(), frame.ip({ ttl: 64 }).udp());
        return 'no error';
      } catch (error) {
        return (error as Error).message;
      }
    })();
    expect(message).toContain('ip.ttl: 63, expected 64');
    expect(message).toContain('ip.checksum');
    expect(message).not.toContain('udp.');
    expect(() => expectPacket(undefined, frame)).toThrow(/no packet; expected/);
  });

  test('a packet without Ethernet begins with its IP version', () => {
    expect(dissect(packet().ip6().udp().build(), 'ip').map(({ layer }) => layer)).toEqual([
      'ip6',
      'udp',
    ]);
  });

  test.each([
    ...['::', '::1', 'fe80::1', 'fd00:10::1', '2001:db8:0:1:1:1:1:1', '1:0:0:2::3', '1::'],
    ...['10.0.0.1', '255.255.255.255'],
  ])('the address %s survives bytes and back', (ip) => {
    expect(ipText(ipBytes(ip))).toBe(ip);
  });

  test('an IPv4-mapped address is read, nonsense is refused', () => {
    expect(toHex(ipBytes('::ffff:10.0.0.1'))).toBe('00000000000000000000ffff0a000001');
    expect(() => ipBytes('10.0.0.256')).toThrow('not an IP address: 10.0.0.256');
    expect(() => eth({ src: '2:0' }).build()).toThrow('not a MAC address: 2:0');
  });
});
