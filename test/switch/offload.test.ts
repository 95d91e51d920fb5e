// switch/offload.test.ts — packets larger than the way: too-big answers, fragments, MSS, GSO.
//
// What a device would cut, sum and send is worked out by support/wire.ts, which shares no code with
// the switch; both must come to the same frames.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import type { NativeOffload } from '../../src/datapath/native.ts';
import { ipBytes, macBytes, pseudoHeader, sum16 } from '../support/bytes.ts';
import { dissect } from '../support/dissect.ts';
import { Judge } from '../support/judge.ts';
import { type ModelOptions, ModelSwitch, uplink } from '../support/model-switch.ts';
import { eth, expectPacket, fragment4, fragment6, type Packet, packet } from '../support/packet.ts';
import { readFrames } from '../support/pcap.ts';
import { firstLack } from '../support/requires.ts';
import { type TwoContainers, twoContainers } from '../support/two-containers.ts';
import { onTheWire } from '../support/wire.ts';

const judge = new Judge();
const open: ModelSwitch[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.end();
});

/** The two containers, and c3 on h1. */
function documentOf(options: TwoContainers): string {
  return `${twoContainers(options)}  - { name: c3, network: blue, mac: "02:00:00:00:00:03",
      ips: [10.0.0.3, "fd00:10::3"], host: h1, device: p3 }\n`;
}

function model(document: TwoContainers = {}, options: ModelOptions = {}): ModelSwitch {
  const one = new ModelSwitch(documentOf(document), options);
  open.push(one);
  return one;
}

/** Inner L3 bytes that fit an underlay of 1500. */
const ways = [
  { encap: 'vxlan', underlay: 'ipv4', fits: 1450 },
  { encap: 'vxlan', underlay: 'ipv6', fits: 1430 },
  { encap: 'geneve', underlay: 'ipv4', fits: 1438 },
  { encap: 'geneve', underlay: 'ipv6', fits: 1418 },
] as const;

const [m1, m2, m3] = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'];
const toC2 = eth({ src: m1, dst: m2 });
const toC1 = eth({ src: m2, dst: m1 });

function innerOf(frame: Uint8Array): Uint8Array {
  const layers = dissect(frame);
  const at = layers.findIndex(({ layer }) => layer === 'vxlan' || layer === 'geneve');
  return frame.slice(layers[at + 1]!.at);
}

const tooBig4 = (mtu: number, about: Packet, src = '10.0.0.254') =>
  toC1
    .ip({ src, dst: '10.0.0.1', tos: 0xc0, df: true })
    .icmp({ type: 3, code: 4, rest: mtu })
    .raw(about.build().subarray(14, 14 + 576 - 28));
const tooBig6 = (mtu: number, about: Packet, src = 'fd00:10::fe') =>
  toC1
    .ip6({ src, dst: 'fd00:10::1' })
    .icmp6({ type: 2, rest: mtu })
    .raw(about.build().subarray(14, 14 + 1280 - 48));

describe.each(ways)('MTU with $encap over $underlay', ({ encap, underlay, fits }) => {
  const four = (bytes: number, fields = {}) =>
    toC2
      .ip({ df: true, id: 7, ...fields })
      .udp()
      .payload(bytes - 28);
  const six = (bytes: number) =>
    toC2
      .ip6()
      .udp()
      .payload(bytes - 48);

  test('the largest that fits leaves, and its outer packet has exactly 1500 bytes', () => {
    const one = model({ encap, underlay, mtu: 9000 });
    for (const frame of [four(fits), six(fits)]) {
      const [wire] = judge.keep(one.send('p1', frame.build()));
      expect(wire!.length - 14).toBe(1500);
      expectPacket(innerOf(wire!), frame);
    }
    expect(one.drops()).toEqual({});
  });

  test('one byte more is answered from the gateway, with the MTU that fits', () => {
    const one = model({ encap, underlay, mtu: 9000 });
    for (const [frame, answer] of [
      [four(fits + 1), tooBig4(fits, four(fits + 1))],
      [six(fits + 1), tooBig6(fits, six(fits + 1))],
    ] as const) {
      for (let time = 0; time < 2; time += 1) {
        const sent = one.send('p1', frame.build());
        expect(sent.map(({ port }) => port)).toEqual(['p1']);
        expectPacket(judge.keep(sent)[0], answer);
      }
    }
    expect(one.drops()).toEqual({ mtu_exceeded: 4 });
    expect(one.worker().icmp_errors).toBe(4);
    expect(one.port(uplink).tx_packets).toBe(0);
  });

  test("the network's own MTU holds where it is the smaller one", () => {
    const one = model({ encap, underlay, mtu: 1300 });
    const sent = one.send('p1', four(1301).build());
    expectPacket(judge.keep(sent)[0], tooBig4(1300, four(1301)));
  });

  test('without DF an IPv4 packet is cut, byte for byte as RFC 791 says', () => {
    const one = model({ encap, underlay, mtu: 9000 });
    const frame = four(4000, { df: false }).build();
    const wires = judge.keep(one.send('p1', frame));
    const pieces = fragment4(frame, fits);
    expect(wires).toHaveLength(pieces.length);
    for (const [at, wire] of wires.entries()) expectPacket(innerOf(wire), pieces[at]!);
    expect(one.drops()).toEqual({});
  });

  test('the MSS of a SYN is lowered to what fits, and never raised', () => {
    const one = model({ encap, underlay, mtu: 9000 });
    const option = (mss: number) => [{ mss }, { nop: true }, { windowScale: 7 }] as const;
    const syn = (mss: number, flags: string) => [
      toC2.ip().tcp({ flags, options: [...option(mss)] }),
      toC2.ip6().tcp({ flags, options: [...option(mss)] }),
    ];
    for (const flags of ['S', 'SA']) {
      const given = syn(8960, flags);
      const made = [syn(fits - 40, flags)[0]!, syn(fits - 60, flags)[1]!];
      for (const [at, frame] of given.entries()) {
        const [wire] = judge.keep(one.send('p1', frame.build()));
        expectPacket(innerOf(wire!), made[at]!);
      }
    }
    expect(one.worker().mss_clamps).toBe(4);
    for (const frame of [...syn(536, 'S'), ...syn(8960, 'A')]) {
      const [wire] = onTheWire(one.send('p1', frame.build()));
      expectPacket(innerOf(wire!), frame);
    }
    expect(one.worker().mss_clamps).toBe(4);
  });
});

describe('who is told that a packet is too big', () => {
  const big = packet().payload(1500);
  const cases: readonly [what: string, frame: Packet, answers: number][] = [
    ['a unicast sender is', toC2.ip({ df: true }).udp().carry(big), 1],
    ['nobody is about an ICMP error', toC2.ip({ df: true }).icmp({ type: 3 }).carry(big), 0],
    ['nobody is about an ICMPv6 error', toC2.ip6().icmp6({ type: 1 }).carry(big), 0],
    [
      'nobody is about a broadcast',
      eth({ src: m1, dst: 'ff:ff:ff:ff:ff:ff' })
        .ip({ dst: '10.0.0.255', df: true })
        .udp()
        .carry(big),
      0,
    ],
  ];

  test.each(cases)('%s', (_what, frame, answers) => {
    const one = model();
    expect(judge.keep(one.send('p1', frame.build()))).toHaveLength(answers);
    expect(one.drops()).toEqual({ mtu_exceeded: 1 });
  });

  test('without a gateway the answer comes from the destination of the packet', () => {
    const one = new ModelSwitch(documentOf({}).replace(/, gateway: [^ ]+/g, ''));
    open.push(one);
    const frames = [toC2.ip({ df: true }).udp().carry(big), toC2.ip6().udp().carry(big)] as const;
    expectPacket(
      judge.keep(one.send('p1', frames[0].build()))[0],
      tooBig4(1450, frames[0], '10.0.0.2'),
    );
    expectPacket(
      judge.keep(one.send('p1', frames[1].build()))[0],
      tooBig6(1450, frames[1], 'fd00:10::2'),
    );
  });

  test('on one host nothing is too big: no tunnel is on the way', () => {
    const frame = eth({ src: m1, dst: m3 }).ip({ dst: '10.0.0.3', df: true }).udp().payload(8000);
    const sent = model().send('p1', frame.build());
    expect(sent.map(({ port }) => port)).toEqual(['p3']);
    expectPacket(sent[0]?.frame, frame);
  });
});

test('fragments of both IP versions pass unchanged', () => {
  const one = model();
  const pieces = [
    ...fragment4(toC2.ip({ id: 3 }).udp().payload(3000).build(), 1400),
    ...fragment6(toC2.ip6().udp().payload(3000).build(), 1400),
  ];
  const wires = pieces.flatMap((piece) => judge.keep(one.send('p1', piece)));
  expect(wires).toHaveLength(pieces.length);
  for (const [at, wire] of wires.entries()) expectPacket(innerOf(wire), pieces[at]!);
  expect(one.drops()).toEqual({});
});

/** Payload of a segment; with TCP over IPv6 in Geneve over IPv6 it just fits. */
const segmentBytes = 1340;
const gso = { tcp4: 1, tcp6: 4, udp: 5 };

interface Super {
  readonly frame: Uint8Array;
  readonly offload: NativeOffload;
}

/** A superpacket as virtio hands it over: one header, the pseudo-header's sum in the checksum. */
function superpacket(kind: keyof typeof gso, bytes: number, dst = m2): Super {
  const last = dst === m2 ? 2 : 3;
  const v6 = kind === 'tcp6';
  const [from, to] = v6 ? ['fd00:10::1', `fd00:10::${last}`] : ['10.0.0.1', `10.0.0.${last}`];
  const ethernet = eth({ src: m1, dst });
  const ip = v6 ? ethernet.ip6({ src: from, dst: to }) : ethernet.ip({ dst: to, df: true, id: 99 });
  const udp = kind === 'udp';
  const length = bytes + (udp ? 8 : 32);
  const pseudo = pseudoHeader(ipBytes(from), ipBytes(to), udp ? 17 : 6, length);
  const checksum = sum16(pseudo);
  const transport = udp
    ? ip.udp({ checksum })
    : ip.tcp({
        seq: 1000,
        flags: 'PAF',
        options: [{ nop: true }, { nop: true }, { timestamps: [1, 2] }],
        checksum,
      });
  return {
    frame: transport.payload(bytes).build(),
    offload: {
      needsChecksum: true,
      checksumStart: 14 + (v6 ? 40 : 20),
      checksumOffset: udp ? 6 : 16,
      gsoType: gso[kind],
      gsoSize: segmentBytes,
    },
  };
}

const kinds = ['tcp4', 'tcp6', 'udp'] as const;
const sizes = [segmentBytes + 1, 2 * segmentBytes, 20_000, 60_000];

describe.each(ways)('superpackets with $encap over $underlay', ({ encap, underlay }) => {
  test.each(kinds)('%s becomes the tunnel packets of its segments', (kind) => {
    const one = model({ encap, underlay });
    for (const bytes of sizes) {
      const given = superpacket(kind, bytes);
      const wires = judge.keep(one.send('p1', given.frame, given.offload));
      const segments = onTheWire([given]);
      expect(segments).toHaveLength(Math.ceil(bytes / segmentBytes));
      expect(wires).toHaveLength(segments.length);
      for (const [at, wire] of wires.entries()) {
        expect(wire.length - 14).toBeLessThanOrEqual(1500);
        expectPacket(innerOf(wire), segments[at]!);
      }
    }
    expect(one.drops()).toEqual({});
    expect(one.port('p1').rx_super).toBe(sizes.length);
  });

  test.each(kinds)('%s comes out at the other host as it went in', (kind) => {
    const [h1, h2] = [model({ encap, underlay }), model({ encap, underlay }, { host: 'h2' })];
    for (const bytes of sizes) {
      const given = superpacket(kind, bytes);
      const out = h1
        .send('p1', given.frame, given.offload)
        .flatMap(({ frame, offload }) => h2.send(uplink, frame, offload));
      expect(new Set(out.map(({ port }) => port))).toEqual(new Set(['p2']));
      const [arrived, segments] = [onTheWire(out), onTheWire([given])];
      expect(arrived).toHaveLength(segments.length);
      for (const [at, frame] of arrived.entries()) expectPacket(frame, segments[at]!);
    }
    expect(h2.drops()).toEqual({});
  });
});

describe('offloads on one host', () => {
  test.each(kinds)('%s passes whole to a port that takes it', (kind) => {
    const one = model();
    const given = superpacket(kind, 30_000, m3);
    const sent = one.send('p1', given.frame, given.offload);
    expect(sent).toMatchObject([{ port: 'p3', offload: given.offload }]);
    expectPacket(sent[0]?.frame, given.frame);
    expect(one.port('p3')).toMatchObject({ tx_packets: 1, tx_super: 1, tx_segments: 0 });
  });

  test.each(kinds)('%s is cut and summed for a port that cannot', (kind) => {
    const directory = mkdtempSync(join(tmpdir(), 'vtep-offload-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const txPath = join(directory, 'p3.pcap');
    const one = model({}, { pcap: { p3: { txPath } } });
    const given = superpacket(kind, 30_000, m3);
    one.send('p1', given.frame, given.offload);
    expect(one.port('p3')).toMatchObject({
      tx_segments: Math.ceil(30_000 / segmentBytes),
      tx_super: 0,
    });
    one.close();
    const [made, segments] = [readFrames(txPath), onTheWire([given])];
    expect(made).toHaveLength(segments.length);
    for (const [at, frame] of made.entries()) expectPacket(frame, segments[at]!);
  });

  test('an unfinished checksum stays so to a port, and is finished before a tunnel', () => {
    const one = model();
    for (const [dst, port] of [
      [m3, 'p3'],
      [m2, uplink],
    ] as const) {
      const { frame, offload } = superpacket('tcp4', 100, dst);
      const partial = { ...offload, gsoType: 0, gsoSize: 0 };
      const sent = one.send('p1', frame, partial);
      expect(sent.map((each) => each.port)).toEqual([port]);
      expect(sent[0]!.offload.needsChecksum).toBe(port === 'p3');
      const [wire] = judge.keep(sent);
      const [finished] = onTheWire([{ frame, offload: partial }]);
      expectPacket(port === 'p3' ? wire : innerOf(wire!), finished!);
    }
  });

  const lies: readonly [what: string, offload: NativeOffload][] = [
    [
      'a checksum place behind the packet',
      { needsChecksum: true, checksumStart: 9000, checksumOffset: 16 },
    ],
    [
      'a checksum before the L4 header',
      { needsChecksum: true, checksumStart: 14, checksumOffset: 16 },
    ],
    ['segments of no size', { gsoType: 1, gsoSize: 0 }],
    ['TCP over IPv6 in a packet of IPv4', { gsoType: 4, gsoSize: 1000 }],
    ['UDP in a packet of TCP', { gsoType: 5, gsoSize: 1000 }],
  ];

  test.each(lies)('an offload header that claims %s is dropped by name', (_what, offload) => {
    const one = model();
    const { frame } = superpacket('tcp4', 3000, m3);
    expect(one.fate('p1', frame, offload)).toBe('bad_offload');
  });
});

test.each(['tcp4', 'tcp6'] as const)('%s in segments that do not fit is answered', (kind) => {
  const one = model();
  const { frame, offload } = superpacket(kind, 20_000);
  const sent = one.send('p1', frame, { ...offload, gsoSize: 1440 });
  // Not for tshark, which sums the beginning of the TCP packet that is quoted as if it were whole.
  const [answer] = onTheWire(sent);
  expect(sent.map(({ port }) => port)).toEqual(['p1']);
  const layers = dissect(answer!);
  const mtu =
    kind === 'tcp4' ? { layer: 'icmp', fields: { type: 3, code: 4 } } : { layer: 'icmp6' };
  expect(layers[2]).toMatchObject(mtu);
  expect(layers[2]!.fields.rest).toBe('0x000005aa');
  expect(layers[2]!.fields.checksum).not.toContain('wrong');
  expect(one.drops()).toEqual({ mtu_exceeded: 1 });
});

test('a broadcast with an unfinished checksum is right on every way that it takes', () => {
  const one = model();
  const datagram = (checksum?: number) =>
    eth({ src: m1, dst: 'ff:ff:ff:ff:ff:ff' })
      .ip({ dst: '10.0.0.255' })
      .udp(checksum === undefined ? {} : { checksum })
      .payload(99);
  const pseudo = pseudoHeader(ipBytes('10.0.0.1'), ipBytes('10.0.0.255'), 17, 8 + 99);
  const offload = { needsChecksum: true, checksumStart: 34, checksumOffset: 6 };
  const sent = one.send('p1', datagram(sum16(pseudo)).build(), offload);
  expect(sent.map(({ port }) => port).sort()).toEqual(['p3', uplink]);
  for (const each of sent) {
    const [wire] = judge.keep([each]);
    expectPacket(each.port === uplink ? innerOf(wire!) : wire, datagram());
  }
});

describe('behind the VLAN of a trunk', () => {
  const m4 = '02:00:00:00:00:04';

  /** c4 is VLAN 10 of the trunk t1. */
  function trunk(): ModelSwitch {
    const one = new ModelSwitch(`${documentOf({})}  - { name: c4, network: blue, mac: "${m4}",
      ips: [10.0.0.4, "fd00:10::4"], host: h1, device: t1, vlan: 10 }\n`);
    open.push(one);
    return one;
  }

  const tag = Uint8Array.of(0x81, 0, 0, 10);
  /** The superpacket with the tag of c4, and c4 as its source when it leaves by the trunk. */
  function tagged({ frame, offload }: Super): Super {
    const bytes = Uint8Array.from([...frame.subarray(0, 12), ...tag, ...frame.subarray(12)]);
    return { frame: bytes, offload: { ...offload, checksumStart: offload.checksumStart! + 4 } };
  }

  /** The same from another MAC; its IP addresses stay, which port security would mind. */
  function withSource({ frame, offload }: Super, source: string): Super {
    const bytes = frame.slice();
    bytes.set(macBytes(source), 6);
    return { frame: bytes, offload };
  }

  test('a packet that is too big is answered with the tag it came with', () => {
    const start = eth({ src: m4, dst: m2 }).vlan(10);
    const frame = start.ip({ src: '10.0.0.4', df: true }).udp().payload(1423);
    const answer = eth({ src: m2, dst: m4 })
      .vlan(10)
      .ip({ src: '10.0.0.254', dst: '10.0.0.4', tos: 0xc0, df: true })
      .icmp({ type: 3, code: 4, rest: 1450 })
      .raw(frame.build().subarray(18, 18 + 576 - 28));
    const sent = trunk().send('t1', frame.build());
    expect(sent.map(({ port }) => port)).toEqual(['t1']);
    expectPacket(judge.keep(sent)[0], answer);
  });

  test('the tag does not count: what fits without it leaves', () => {
    const start = eth({ src: m4, dst: m2 });
    const made = (packetStart: Packet) =>
      packetStart.ip({ src: '10.0.0.4', df: true }).udp().payload(1422);
    const [wire] = judge.keep(trunk().send('t1', made(start.vlan(10)).build()));
    expectPacket(innerOf(wire!), made(start));
  });

  test.each(kinds)('%s gets the tag, and its checksum place moves along', (kind) => {
    const one = trunk();
    const given = superpacket(kind, 30_000, m3);
    given.frame.set(macBytes(m4), 0);
    const sent = one.send('p1', given.frame, given.offload);
    expect(sent.map(({ port }) => port)).toEqual(['t1']);
    expectPacket(sent[0]?.frame, tagged(given).frame);
    expect(sent[0]?.offload).toMatchObject(tagged(given).offload);
    for (const frame of onTheWire(sent)) expect(frame.subarray(12, 16)).toEqual(tag);
  });

  test.each(kinds)('%s loses the tag before it enters a tunnel', (kind) => {
    const one = new ModelSwitch(
      `${documentOf({})}  - { name: c4, network: blue, mac: "${m4}",
      host: h1, device: t1, vlan: 10, portSecurity: false }\n`,
    );
    open.push(one);
    const given = withSource(superpacket(kind, 30_000), m4);
    const with10 = tagged(given);
    const wires = judge.keep(one.send('t1', with10.frame, with10.offload));
    const segments = onTheWire([given]);
    expect(wires).toHaveLength(segments.length);
    for (const [at, wire] of wires.entries()) expectPacket(innerOf(wire), segments[at]!);
  });
});

test.skipIf(firstLack(['command:tshark']))('tshark finds no fault in what was sent', async () => {
  expect(judge.count).toBeGreaterThan(500);
  await judge.tshark();
});

test.skipIf(firstLack(['command:python3']))('scapy reads what was sent as we do', async () => {
  await judge.scapy();
});
