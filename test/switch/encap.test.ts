// switch/encap.test.ts — what leaves by the tunnel, and what is taken from it, byte for byte.
//
// Every outer field of VXLAN (RFC 7348) and Geneve (RFC 8926) over IPv4 and IPv6; ECN both ways
// (RFC 6040); replication; and tunnel packets that are not for us or not from whom they should be.

import { afterEach, describe, expect, test } from 'vitest';
import { hashName } from '../../src/pipeline/rule.ts';
import { u32 } from '../support/bytes.ts';
import { dissect } from '../support/dissect.ts';
import { Judge } from '../support/judge.ts';
import { hostMac, ModelSwitch, nextHopMac, uplink } from '../support/model-switch.ts';
import { eth, expectPacket, fragment4, type Packet, packet } from '../support/packet.ts';
import { firstLack } from '../support/requires.ts';

const judge = new Judge();
const open: ModelSwitch[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.end();
});

const underlays = {
  ipv4: ['172.31.1.1', '172.31.1.2', '172.31.1.3', '172.31.1.9'],
  ipv6: ['fd00:31::1', 'fd00:31::2', 'fd00:31::3', 'fd00:31::9'],
} as const;
type Underlay = keyof typeof underlays;
type Encap = 'vxlan' | 'geneve';

/** Two networks of one encapsulation on three hosts; the second is on two of them. */
function documentOf(encap: Encap, underlay: Underlay): string {
  const [one, two, three] = underlays[underlay];
  const other = encap === 'vxlan' ? 'geneve' : 'vxlan';
  const port = (name: string, network: string, last: number, host: string) =>
    `  - { name: ${name}, network: ${network}, mac: "02:00:00:00:00:0${last}",
      ips: [10.0.0.${last}, "fd00:10::${last}"], host: ${host}, device: ${name} }`;
  return `
hosts:
  - { name: h1, tunnelIp: "${one}" }
  - { name: h2, tunnelIp: "${two}" }
  - { name: h3, tunnelIp: "${three}" }
networks:
  - { name: blue, vni: 100, encap: ${encap} }
  - { name: green, vni: 11259375, encap: ${other} }
ports:
${port('c1', 'blue', 1, 'h1')}
${port('c2', 'blue', 2, 'h2')}
${port('c3', 'blue', 3, 'h3')}
${port('c4', 'blue', 4, 'h1')}
${port('g1', 'green', 1, 'h1')}
${port('g2', 'green', 2, 'h2')}
`;
}

function model(encap: Encap = 'vxlan', underlay: Underlay = 'ipv4'): ModelSwitch {
  const one = new ModelSwitch(documentOf(encap, underlay));
  open.push(one);
  return one;
}

const udpPorts = { vxlan: 4789, geneve: 6081 };

interface OuterFields {
  readonly encap: Encap;
  readonly underlay: Underlay;
  readonly vni?: number;
  readonly tos?: number;
  /** Index of the remote host's address; 1 by default, h2. */
  readonly to?: number;
  readonly port?: string;
}

/** The outer headers as we must send them, but for the UDP source port. */
function outer(fields: OuterFields, sourcePort: number): Packet {
  const { encap, underlay, vni = 100, tos = 0, to = 1, port = 'c1' } = fields;
  const [src, dst] = [underlays[underlay][0], underlays[underlay][to]!];
  const ethernet = eth({ src: hostMac, dst: nextHopMac });
  const network =
    underlay === 'ipv4'
      ? ethernet.ip({ src, dst, tos, df: true, ttl: 64, id: 0 })
      : ethernet.ip6({ src, dst, trafficClass: tos, hopLimit: 64, flowLabel: 0 });
  const checksum = underlay === 'ipv4' ? { checksum: 0 } : {};
  const udp = network.udp({ src: sourcePort, dst: udpPorts[encap], ...checksum });
  if (encap === 'vxlan') return udp.vxlan(vni);
  const data = Uint8Array.from([...u32(hashName(port)), ...u32(vni)]);
  return udp.geneve({ vni, options: [{ class: 0xff56, type: 0x01, data }] });
}

function sourcePortOf(frame: Uint8Array): number {
  return Number(dissect(frame).find(({ layer }) => layer === 'udp')?.fields.src);
}

/** A tunnel packet to us, as another VTEP sends it. */
function fromVtep(fields: OuterFields & { from?: number }, inner: Packet, tunnelTos = 0): Packet {
  const { encap, underlay, vni = 100, from = 1 } = fields;
  const [src, dst] = [underlays[underlay][from]!, underlays[underlay][0]];
  const ethernet = eth({ src: nextHopMac, dst: hostMac });
  const network =
    underlay === 'ipv4'
      ? ethernet.ip({ src, dst, tos: tunnelTos, df: true })
      : ethernet.ip6({ src, dst, trafficClass: tunnelTos });
  const udp = network.udp({ src: 50000, dst: udpPorts[encap] });
  return (encap === 'vxlan' ? udp.vxlan(vni) : udp.geneve(vni)).carry(inner);
}

const c1to2 = eth({ src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02' });
const c2to1 = eth({ src: '02:00:00:00:00:02', dst: '02:00:00:00:00:01' });
const back = { src: '10.0.0.2', dst: '10.0.0.1' };

const ways = (['vxlan', 'geneve'] as const).flatMap((encap) =>
  (['ipv4', 'ipv6'] as const).map((underlay) => ({ encap, underlay })),
);

const inners: readonly { what: string; inner: Packet; tos?: number }[] = [
  { what: 'ICMP echo', inner: c1to2.ip().echo() },
  { what: 'UDP, with DSCP EF', inner: c1to2.ip({ tos: 0xb8 }).udp().payload(64), tos: 0xb8 },
  { what: 'ECT(0)', inner: c1to2.ip({ tos: 2 }).tcp().payload(8), tos: 2 },
  { what: 'ECT(1)', inner: c1to2.ip({ tos: 1 }).tcp().payload(8), tos: 1 },
  { what: 'CE and DSCP AF41', inner: c1to2.ip({ tos: 0x8b }).tcp(), tos: 0x8b },
  { what: 'inner TTL 1, which is no business of ours', inner: c1to2.ip({ ttl: 1 }).udp() },
  { what: 'IPv6 with traffic class', inner: c1to2.ip6({ trafficClass: 0xb9 }).udp(), tos: 0xb9 },
  { what: 'IPv6 echo', inner: c1to2.ip6().echo6() },
  { what: 'ARP reply', inner: c1to2.arp({ op: 'reply', targetMac: '02:00:00:00:00:02' }) },
  { what: 'SCTP', inner: c1to2.ip().sctp().sctpChunk({ type: 11 }) },
  { what: 'IPv4 options', inner: c1to2.ip({ options: '94040000' }).udp() },
  {
    what: 'no IP at all',
    inner: eth({ src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02', type: 0x88b5 }).payload(50),
  },
  { what: 'the largest that fits', inner: c1to2.ip({ df: true }).udp().payload(1372) },
];

describe.each(ways)('$encap over $underlay', ({ encap, underlay }) => {
  test.each(inners)('puts the whole outer header before $what', ({ inner, tos = 0 }) => {
    const one = model(encap, underlay);
    const frame = inner.build();
    for (let time = 0; time < 3; time += 1) {
      const sent = one.send('c1', frame);
      expect(sent.map(({ port }) => port)).toEqual([uplink]);
      const [wire] = judge.keep(sent);
      const expected = outer({ encap, underlay, tos }, sourcePortOf(wire!)).carry(inner);
      expectPacket(wire, expected);
    }
    const actions = `enforce_mtu(1450),output_tunnel(h2/${encap},vni=100)`;
    expect(one.flows()).toMatchObject([{ actions, packets: 3, bytes: 3 * frame.length }]);
    expect(one.worker()).toMatchObject({ misses: 1 });
    expect(one.drops()).toEqual({});
    expect(one.port('c1')).toMatchObject({ rx_packets: 3, upcalls: 1, tx_packets: 0 });
    const grown = outer({ encap, underlay }, 0).build().length;
    const tx_bytes = 3 * (frame.length + grown);
    expect(one.port(uplink)).toMatchObject({ tx_packets: 3, tx_bytes, rx_packets: 0 });
  });

  test('replicates broadcast head-end: to every VTEP and to the other local ports', () => {
    const one = model(encap, underlay);
    const frame = eth({ src: '02:00:00:00:00:01', dst: 'ff:ff:ff:ff:ff:ff' })
      .ip({ dst: '10.0.0.255' })
      .udp({ dst: 67 });
    const sent = one.send('c1', frame.build());
    expect(sent.map(({ port }) => port).sort()).toEqual(['c4', uplink, uplink]);
    expectPacket(sent.find(({ port }) => port === 'c4')?.frame, frame);
    const wires = judge.keep(sent.filter(({ port }) => port === uplink));
    const expected = [1, 2].map((to) =>
      outer({ encap, underlay, to }, sourcePortOf(wires[0]!)).carry(frame),
    );
    const order = String(dissect(wires[0]!)[1]!.fields.dst).endsWith('2') ? [0, 1] : [1, 0];
    for (const [at, wire] of wires.entries()) expectPacket(wire, expected[order[at]!]!);
    expect(one.flows()).toMatchObject([
      { actions: 'enforce_mtu(1450),output_group(blue/all,vni=100)', packets: 1 },
    ]);
  });

  test('takes tunnel packets: unicast to the port, broadcast to local ports only', () => {
    const one = model(encap, underlay);
    const unicast = c2to1.ip(back).udp();
    const sent = one.send(uplink, fromVtep({ encap, underlay }, unicast).build());
    expect(sent.map(({ port }) => port)).toEqual(['c1']);
    expectPacket(sent[0]?.frame, unicast);
    const broadcast = eth({ src: '02:00:00:00:00:02', dst: 'ff:ff:ff:ff:ff:ff' })
      .ip({ src: '10.0.0.2', dst: '10.0.0.255' })
      .udp();
    const flood = one.send(uplink, fromVtep({ encap, underlay }, broadcast).build());
    expect(flood.map(({ port }) => port).sort()).toEqual(['c1', 'c4']);
    for (const { frame } of flood) expectPacket(frame, broadcast);
    expect(one.drops()).toEqual({});
  });

  const [c2, c3] = [c2to1.ip(back).udp(), eth({ src: '02:00:00:00:00:03' }).ip().udp()];
  const wrong = { encap: encap === 'vxlan' ? ('geneve' as const) : ('vxlan' as const), underlay };
  const refused: readonly [string, Packet, string][] = [
    ['unknown VTEP', fromVtep({ encap, underlay, from: 3 }, c2), 'unknown_vtep'],
    ['unknown VNI', fromVtep({ encap, underlay, vni: 101 }, c2), 'unknown_vni'],
    ['VNI of the other encapsulation', fromVtep({ ...wrong, vni: 100 }, c2), 'wrong_encap'],
    [
      'source MAC of another host',
      fromVtep({ encap, underlay, from: 2 }, c2),
      'wrong_network_vtep',
    ],
    [
      'source MAC of our own port',
      fromVtep({ encap, underlay }, c1to2.ip().udp()),
      'wrong_network_vtep',
    ],
    [
      'destination behind the tunnel',
      fromVtep({ encap, underlay, from: 2 }, c3),
      'from_tunnel_to_tunnel',
    ],
    [
      'group source MAC',
      fromVtep({ encap, underlay }, eth({ src: '01:00:5e:00:00:01' }).ip().udp()),
      'bad_source_mac',
    ],
    [
      'bad inner IPv4',
      fromVtep({ encap, underlay }, c2to1.ip({ ...back, ihl: 4 }).udp()),
      'bad_ipv4',
    ],
    [
      'bad inner ARP',
      fromVtep({ encap, underlay }, eth({ src: '02:00:00:00:00:02', type: 0x0806 }).payload(27)),
      'bad_arp',
    ],
    ['inner VLAN', fromVtep({ encap, underlay }, c2to1.vlan(5).ip(back).udp()), 'unknown_port'],
    [
      'unknown inner destination',
      fromVtep(
        { encap, underlay },
        eth({ src: '02:00:00:00:00:02', dst: '02:00:00:00:00:77' }).ip().udp(),
      ),
      'unknown_mac',
    ],
  ];

  test.each(refused)('drops a tunnel packet with %s', (_what, tunnelPacket, reason) => {
    const one = model(encap, underlay);
    for (let time = 1; time <= 2; time += 1) {
      expect(one.send(uplink, tunnelPacket.build())).toEqual([]);
      expect(one.drops(uplink)).toEqual({ [reason]: time });
    }
    expect(one.port(uplink).drops).toBe(2);
  });

  test('spreads flows over source ports from 49152 up, and keeps each flow on its own', () => {
    const one = model(encap, underlay);
    const portOf = (frame: Packet) => sourcePortOf(one.send('c1', frame.build())[0]!.frame);
    const seen = new Set<number>();
    for (let src = 1000; src < 1200; src += 1) {
      const [first, again] = [10, 700].map((bytes) =>
        portOf(
          c1to2
            .ip({ tos: bytes & 3 })
            .udp({ src })
            .payload(bytes),
        ),
      );
      expect(first).toBe(again);
      expect(first).toBeGreaterThanOrEqual(49152);
      expect(first).toBeLessThanOrEqual(65535);
      seen.add(first!);
    }
    expect(seen.size).toBeGreaterThan(180);
  });
});

test('green, which has the other encapsulation, leaves with it and its own VNI', () => {
  const one = model('vxlan', 'ipv4');
  const [wire] = judge.keep(one.send('g1', c1to2.ip().udp().build()));
  const how = { encap: 'geneve', underlay: 'ipv4', vni: 0xabcdef, port: 'g1' } as const;
  expectPacket(wire, outer(how, sourcePortOf(wire!)).carry(c1to2.ip().udp()));
});

test('fragments of one datagram stay on one source port', () => {
  const one = model();
  const datagram = c1to2.ip({ id: 9 }).udp().payload(3000).build();
  const ports = fragment4(datagram, 1400).map((piece) =>
    sourcePortOf(judge.keep(one.send('c1', piece))[0]!),
  );
  expect(ports).toHaveLength(3);
  expect(new Set(ports).size).toBe(1);
});

test('fragments of tunnel packets are counted, not put together', () => {
  const one = model();
  const whole = fromVtep({ encap: 'vxlan', underlay: 'ipv4' }, c2to1.ip(back).udp().payload(900));
  const [first, ...later] = fragment4(whole.build(), 600);
  expect(one.fate(uplink, first!)).toBe('outer_fragment');
  // Later ones have no port to know them by: they may be anybody's.
  for (const piece of later) expect(one.fate(uplink, piece)).toBe('nothing');
});

test('a tunnel packet whose UDP length is a lie is dropped by name', () => {
  const one = model();
  const outside = eth({ src: nextHopMac, dst: hostMac }).ip({
    src: '172.31.1.2',
    dst: '172.31.1.1',
  });
  for (const length of [7, 900]) {
    const frame = outside.udp({ dst: 4789, length, checksum: 0 }).vxlan(100).carry(c2to1.ip(back));
    expect(one.fate(uplink, frame.build())).toBe('bad_outer_udp');
  }
});

test('without a next hop packets are dropped and counted; with one they leave again', () => {
  const one = model();
  const frame = c1to2.ip().udp().build();
  one.nextHop('h2/vxlan', null);
  expect(one.fate('c1', frame)).toBe('tunnel_unresolved');
  one.nextHop('h2/vxlan', { targetMac: '02:00:00:00:bb:01', vlan: 7 });
  const sent = one.send('c1', frame);
  judge.keep(sent);
  const [ethernet, vlan, ip] = dissect(sent[0]!.frame);
  expect(ethernet!.fields.dst).toBe('02:00:00:00:bb:01');
  expect(vlan).toMatchObject({ layer: 'vlan', fields: { id: 7 } });
  expect(ip).toMatchObject({ layer: 'ip', fields: { dst: '172.31.1.2' } });
  expect(one.flows()).toHaveLength(1);
  expect(one.worker().misses).toBe(1);
});

describe('ECN at the end of the tunnel (RFC 6040, figure 4)', () => {
  const [not, ect1, ect0, ce] = [0, 1, 2, 3];
  const names = ['not-ECT', 'ECT(1)', 'ECT(0)', 'CE'];
  const table: [outer: number, inner: number, result: number | 'ecn_illegal'][] = [
    ...([not, ect0, ect1] as number[]).map((tos): [number, number, number] => [tos, not!, not!]),
    [ce!, not!, 'ecn_illegal'],
    [not!, ect0!, ect0!],
    [ect0!, ect0!, ect0!],
    [ect1!, ect0!, ect1!],
    [ce!, ect0!, ce!],
    [not!, ect1!, ect1!],
    [ect0!, ect1!, ect1!],
    [ect1!, ect1!, ect1!],
    [ce!, ect1!, ce!],
    ...([not, ect0, ect1, ce] as number[]).map((tos): [number, number, number] => [tos, ce!, ce!]),
  ];
  const cases = table.flatMap(([tos, inner, result]) =>
    ways.map((way) => ({
      ...way,
      tos,
      inner,
      result,
      text: `${names[tos]} around ${names[inner]}`,
    })),
  );

  test.each(cases)('$text, $encap over $underlay', ({ encap, underlay, tos, inner, result }) => {
    const one = model(encap, underlay);
    const dscp = 0x28;
    const four = (ecn: number) =>
      c2to1
        .ip({ ...back, tos: dscp | ecn })
        .udp()
        .payload(5);
    const six = (ecn: number) =>
      c2to1
        .ip6({ src: 'fd00:10::2', dst: 'fd00:10::1', trafficClass: dscp | ecn, flowLabel: 0x12345 })
        .udp();
    for (const made of [four, six]) {
      const frame = fromVtep({ encap, underlay }, made(inner), tos | 0xb8).build();
      const sent = one.send(uplink, frame);
      if (result === 'ecn_illegal') expect(sent).toEqual([]);
      else expectPacket(sent[0]?.frame, made(result));
    }
    expect(one.drops()).toEqual(result === 'ecn_illegal' ? { ecn_illegal: 2 } : {});
  });

  test('ARP has no ECN field, and passes whatever the outer header says', () => {
    const one = model();
    const arp = c2to1.arp({ op: 'reply', senderMac: '02:00:00:00:00:02', senderIp: '10.0.0.2' });
    const sent = one.send(uplink, fromVtep({ encap: 'vxlan', underlay: 'ipv4' }, arp, 3).build());
    expectPacket(sent[0]?.frame, arp);
  });
});

test('what is no tunnel packet for us stays with the host', () => {
  const one = model();
  const inner = c2to1.ip(back).udp();
  const stranger = eth({ src: nextHopMac, dst: hostMac });
  for (const frame of [
    stranger.ip({ src: '172.31.1.2', dst: '172.31.1.1' }).tcp({ dst: 22 }),
    stranger
      .ip({ src: '172.31.1.2', dst: '172.31.1.7' })
      .udp({ dst: 4789 })
      .vxlan(100)
      .carry(inner),
    stranger.arp({ targetIp: '172.31.1.1' }),
    packet().carry(inner),
  ]) {
    expect(one.fate(uplink, frame.build())).toBe('nothing');
  }
});

test.skipIf(firstLack(['command:tshark']))('tshark finds no fault in what was sent', async () => {
  expect(judge.count).toBeGreaterThan(100);
  await judge.tshark();
});

test.skipIf(firstLack(['command:python3']))('scapy reads what was sent as we do', async () => {
  await judge.scapy();
});
