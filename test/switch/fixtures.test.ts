// switch/fixtures.test.ts — captures of the kernel, Open vSwitch and scapy through a whole switch.
//
// What peers sent must come out of the tunnel byte for byte, and what our switch makes of the same
// inner frames must differ from the peers' packets in nothing but what a sender may choose. Packets
// that no peer sends end with their reason.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { oddPackets } from '../fixtures/odd-packets.ts';
import { type Dissected, dissect } from '../support/dissect.ts';
import { type ModelOptions, ModelSwitch, uplink } from '../support/model-switch.ts';
import { expectPacket } from '../support/packet.ts';
import { readFrames, writePcap } from '../support/pcap.ts';
import { type TwoContainers, twoContainers } from '../support/two-containers.ts';
import { onTheWire } from '../support/wire.ts';

const folder = join(import.meta.dirname, '../fixtures/pcap');
const open: ModelSwitch[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.end();
});

function model(document: TwoContainers, options: ModelOptions = {}): ModelSwitch {
  const one = new ModelSwitch(twoContainers(document), options);
  open.push(one);
  return one;
}

interface Tunnelled {
  readonly frame: Uint8Array;
  readonly inner: Uint8Array;
  readonly to: 'h1' | 'h2';
  readonly outer: readonly Dissected[];
}

/** Tunnel packets of a file with their inner frames. */
function tunnelled(name: string): Tunnelled[] {
  return readFrames(join(folder, `${name}.pcap`)).map((frame) => {
    const layers = dissect(frame);
    const at = layers.findIndex(({ layer }) => layer === 'vxlan' || layer === 'geneve');
    const to = String(layers[1]!.fields.dst).endsWith('1') ? 'h1' : 'h2';
    return { frame, inner: frame.slice(layers[at + 1]!.at), to, outer: layers.slice(0, at + 1) };
  });
}

function total(frames: readonly Uint8Array[]): number {
  return frames.reduce((sum, frame) => sum + frame.length, 0);
}

const peers: ({ name: string } & Required<Pick<TwoContainers, 'encap' | 'underlay'>>)[] = [
  { name: 'kernel-vxlan-ipv4', encap: 'vxlan', underlay: 'ipv4' },
  { name: 'kernel-vxlan-ipv6', encap: 'vxlan', underlay: 'ipv6' },
  { name: 'ovs-vxlan-ipv4', encap: 'vxlan', underlay: 'ipv4' },
  { name: 'ovs-geneve-ipv4', encap: 'geneve', underlay: 'ipv4' },
  { name: 'ovs-geneve-ipv6', encap: 'geneve', underlay: 'ipv6' },
];

test('every capture is replayed here', () => {
  const files = readdirSync(folder).map((name) => name.replace(/\.pcap$/, ''));
  expect(files.sort()).toEqual(
    [...peers.map(({ name }) => name), ...Object.keys(oddPackets)].sort(),
  );
});

const sides = [
  { to: 'h1', device: 'p1', own: '02:00:00:00:00:01', other: '02:00:00:00:00:02' },
  { to: 'h2', device: 'p2', own: '02:00:00:00:00:02', other: '02:00:00:00:00:01' },
] as const;

/** Match and actions of the megaflows that a side needs for frames to these destinations. */
function expectedFlows(side: (typeof sides)[number], inner: readonly Uint8Array[]) {
  const from = `tunnel_id=100,tunnel_src=1,vlan_tci=0x0000`;
  const flow = (destination: string, actions: string, first: number) => {
    const frames = inner.filter(([byte]) => byte === first);
    return {
      match: `${from},eth_dst=${destination},eth_src=${side.other}`,
      actions,
      packets: frames.length,
      bytes: total(frames),
    };
  };
  const group = 'output_group(blue/local,vni=100)';
  const reserved = 'ff:ff:ff:ff:ff:f0';
  return [
    flow(side.own, `output(${side.device})`, 0x02),
    flow(`33:33:ff:00:00:00/${reserved}`, group, 0x33),
    flow(`${reserved}/${reserved}`, group, 0xff),
  ].filter(({ packets }) => packets > 0);
}

describe.each(peers)('$name', ({ name, encap, underlay }) => {
  const packets = tunnelled(name);

  test.each(sides)('comes out of the tunnel at $to byte for byte', (side) => {
    const mine = packets.filter(({ to }) => to === side.to);
    const inner = mine.map((one) => one.inner);
    const one = model({ encap, underlay }, { host: side.to });
    for (const packet of mine) {
      const out = one.send(uplink, packet.frame);
      expect(out.map(({ port }) => port)).toEqual([side.device]);
      expectPacket(out[0]?.frame, packet.inner);
    }
    const flows = expectedFlows(side, inner);
    expect(one.flows()).toEqual(flows);
    expect(one.drops()).toEqual({});
    expect(one.port(uplink)).toMatchObject({
      rx_packets: mine.length,
      rx_bytes: total(mine.map(({ frame }) => frame)),
      tx_packets: 0,
      upcalls: flows.length,
      drops: 0,
    });
    expect(one.port(side.device)).toMatchObject({
      rx_packets: 0,
      tx_packets: mine.length,
      tx_bytes: total(inner),
    });
    const { exact_hits, megaflow_hits, misses } = one.worker();
    expect(misses).toBe(flows.length);
    expect(exact_hits! + megaflow_hits!).toBe(mine.length - flows.length);
  });

  test('packets to the other host are nothing to us: its stack, not we, has them', () => {
    const one = model({ encap, underlay }, { host: 'h1' });
    const others = packets.filter(({ to }) => to === 'h2').map(({ frame }) => frame);
    expect(one.sendAll(uplink, others)).toEqual([]);
    expect(one.drops()).toEqual({});
    expect(one.flows()).toEqual([]);
    expect(one.port(uplink).rx_packets).toBe(others.length);
  });

  test('what we make of the inner frames differs from it only where senders may choose', () => {
    // The peers' containers had an MTU of 1500: an MSS that is clamped would be a difference.
    const one = model({ encap, underlay, mtu: 1500 }, { host: 'h1', mtu: 1600 });
    const unicast = packets.filter(({ to, inner }) => to === 'h2' && inner[0] === 0x02);
    expect(unicast.length).toBeGreaterThan(5);
    const ports = new Set<number>();
    for (const { inner, outer } of unicast) {
      const [made] = onTheWire(one.send('p1', inner));
      const layers = dissect(made!);
      const at = layers.findIndex(({ layer }) => layer === encap);
      expectPacket(made!.slice(layers[at + 1]!.at), inner);
      const ours = sameFields(layers.slice(0, at + 1));
      expect(ours).toEqual(sameFields(outer));
      ports.add(Number(layers[at - 1]!.fields.src));
    }
    for (const port of ports) expect(port).toBeGreaterThanOrEqual(49152);
    expect(one.drops()).toEqual({});
  });

  test('through pcap ports: the capture is replayed, and what leaves is recorded', () => {
    const directory = mkdtempSync(join(tmpdir(), 'vtep-fixtures-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const txPath = join(directory, 'out.pcap');
    const pcap = { [uplink]: { rxPath: join(folder, `${name}.pcap`) }, p2: { txPath } };
    const one = model({ encap, underlay }, { host: 'h2', pcap });
    one.settle();
    expect(one.drops()).toEqual({});
    one.close();
    const inner = packets.filter(({ to }) => to === 'h2').map((packet) => packet.inner);
    expect(sorted(readFrames(txPath))).toEqual(sorted(inner));
  });
});

/** Outer fields on which two senders must agree. */
function sameFields(layers: readonly Dissected[]) {
  const chosen = new Set(['df', 'id', 'checksum', 'length', 'flowLabel', 'options']);
  return layers.map(({ layer, fields }) => {
    const kept = Object.entries(fields).filter(
      ([name]) => !chosen.has(name) && !(layer === 'udp' && name === 'src'),
    );
    return [layer, Object.fromEntries(kept)];
  });
}

/** In a burst, a first packet waits for its verdict while others pass. */
function sorted(frames: readonly Uint8Array[]): string[] {
  return frames.map((frame) => Buffer.from(frame).toString('hex')).sort();
}

/** What becomes of each odd packet: where it leaves, or why not; "nothing": it is not for us. */
const fates: Record<string, Record<string, string>> = {
  'scapy-plain': {
    'one VLAN tag': 'unknown_port',
    QinQ: 'unknown_port',
    'three tags': 'bad_vlan',
    'IPv6 hop-by-hop, routing and destination options': 'uplink',
    'IPv6 without next header': 'uplink',
    'neighbour solicitation': 'uplink',
    'Ethernet padding after a short packet': 'uplink',
    // scapy filled in the MAC of the machine that made the file.
    'ARP probe': 'spoofed_arp',
  },
  'scapy-vxlan-inner': {
    'VLAN inside': 'unknown_port',
    'QinQ inside': 'unknown_port',
    'first fragment inside': 'p2',
    'last fragment inside': 'p2',
    'first IPv6 fragment inside': 'p2',
    'last IPv6 fragment inside': 'p2',
    'SCTP inside': 'p2',
    'IP options inside': 'p2',
  },
  'scapy-bad-plain': {
    'IPv4 header length 4': 'bad_ipv4',
    'IPv4 version 5': 'bad_ipv4',
    'IPv4 total length beyond the frame': 'bad_ipv4',
    'IPv4 header checksum wrong': 'bad_ipv4_checksum',
    'IPv6 length beyond the frame': 'bad_ipv6',
    'TCP header length 4': 'bad_l4',
    'TCP header length beyond the packet': 'bad_l4',
    'UDP length 7': 'bad_l4',
    'UDP length beyond the packet': 'bad_l4',
    'hop-by-hop options beyond the packet': 'bad_ipv6_extension',
  },
  'scapy-bad-tunnel': {
    'VXLAN without the VNI flag': 'bad_vxlan',
    'VXLAN with reserved bits set, to be ignored': 'p2',
    'unknown critical Geneve option': 'geneve_critical_option',
    'unknown Geneve option that is not critical': 'p2',
    'Geneve version 1': 'bad_geneve',
    'Geneve control packet': 'geneve_control',
    'Geneve options beyond the packet': 'bad_geneve',
    'Geneve option longer than the options': 'bad_geneve',
    'Geneve with IPv4 inside, not Ethernet': 'geneve_protocol',
    'outer UDP checksum wrong': 'bad_outer_checksum',
    'VXLAN over IPv6 without a checksum': 'zero_udp6_checksum',
  },
  // Until the UDP header is whole, nothing says that a packet is for us.
  'scapy-truncated-vxlan': {
    'cut in the outer Ethernet header': 'nothing',
    'cut before the outer IP header': 'nothing',
    'cut in the outer IP header': 'nothing',
    'cut before the outer UDP header': 'nothing',
    'cut in the outer UDP header': 'nothing',
    'cut before the VXLAN header': 'bad_ipv4',
    'cut in the VXLAN header': 'bad_ipv4',
    'cut before the inner Ethernet header': 'bad_ipv4',
    'cut in the inner Ethernet header': 'bad_ipv4',
    'cut before the inner IP header': 'bad_ipv4',
    'cut in the inner IP header': 'bad_ipv4',
    'cut before the TCP header': 'bad_ipv4',
    'cut in the TCP header': 'bad_ipv4',
  },
  'scapy-truncated-geneve6': {
    'cut in the outer IPv6 header': 'nothing',
    'cut before the outer UDP header': 'nothing',
    'cut in the outer UDP header': 'nothing',
    'cut before the Geneve header': 'bad_ipv6',
    'cut in the Geneve header': 'bad_ipv6',
    'cut before the Geneve options': 'bad_ipv6',
    'cut in the Geneve options': 'bad_ipv6',
    'cut in the inner Ethernet header': 'bad_ipv6',
    'cut in the inner IPv6 header': 'bad_ipv6',
    'cut before the ICMPv6 header': 'bad_ipv6',
    'cut in the ICMPv6 header': 'bad_ipv6',
  },
};

const oddCases = Object.entries(oddPackets).flatMap(([file, list]) =>
  list.map(({ name }, index) => ({ file, name, index })),
);

/** A switch whose document fits the packet: its encapsulation, its underlay, its direction. */
function modelFor(file: string, name: string, pcap?: ModelOptions['pcap']): ModelSwitch {
  const encap = /geneve/i.test(`${file} ${name}`) ? 'geneve' : 'vxlan';
  const underlay = /over IPv6|geneve6/.test(`${file} ${name}`) ? 'ipv6' : 'ipv4';
  const host = file.includes('plain') ? 'h1' : 'h2';
  return model({ encap, underlay }, { host, ...(pcap === undefined ? {} : { pcap }) });
}

/** Megaflow of a good packet out of the tunnel; the bad ones get none. */
const fromTunnel = {
  match:
    'tunnel_id=100,tunnel_src=1,vlan_tci=0x0000,' +
    'eth_dst=02:00:00:00:00:02,eth_src=02:00:00:00:00:01',
  actions: 'output(p2)',
};
const madeByPipeline = /^(unknown_port|spoofed_arp)$/;

test('each odd packet has its fate in the table', () => {
  const named = Object.values(fates).flatMap((list) => Object.keys(list));
  expect(named.sort()).toEqual(oddCases.map(({ name }) => name).sort());
});

test.each(oddCases)('$file: $name', ({ file, name, index }) => {
  const frame = readFrames(join(folder, `${file}.pcap`))[index]!;
  const fate = fates[file]![name]!;
  const device = file.includes('plain') ? 'p1' : uplink;
  if (frame.length < 14) return expectTooShort(file, name, frame);
  const one = modelFor(file, name);
  const out = one.send(device, frame);
  const dropped = fate.includes('_');
  expect(one.drops(device)).toEqual(dropped ? { [fate]: 1 } : {});
  expect(one.drops()).toEqual(one.drops(device));
  expect(out.map(({ port }) => port)).toEqual(dropped || fate === 'nothing' ? [] : [fate]);
  expect(one.port(device)).toMatchObject({ rx_packets: 1, drops: dropped ? 1 : 0 });
  const [flow, ...more] = one.flows();
  expect(more).toEqual([]);
  if (fate === 'p2') {
    expectPacket(out[0]?.frame, innerOf(frame));
    expect(flow).toEqual({ ...fromTunnel, packets: 1, bytes: out[0]!.frame.length });
  } else if (fate === 'uplink') {
    expectPacket(innerOf(onTheWire(out)[0]!), frame);
    expect(flow?.actions).toBe('enforce_mtu(1450),output_tunnel(h2/vxlan,vni=100)');
  } else if (madeByPipeline.test(fate)) {
    expect(flow?.actions).toBe(`drop(${fate})`);
  } else {
    expect(flow).toBeUndefined();
  }
});

function innerOf(frame: Uint8Array): Uint8Array {
  const layers = dissect(frame);
  const at = layers.findIndex(({ layer }) => layer === 'vxlan' || layer === 'geneve');
  return frame.slice(layers[at + 1]!.at);
}

/** Memory ports take no frame without an Ethernet header; captures may hold some. */
function expectTooShort(file: string, name: string, frame: Uint8Array): void {
  const directory = mkdtempSync(join(tmpdir(), 'vtep-short-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const rxPath = join(directory, 'short.pcap');
  writePcap(rxPath, [frame]);
  const fromUplink = modelFor(file, name, { [uplink]: { rxPath } });
  fromUplink.settle();
  expect(fromUplink.collect()).toEqual([]);
  expect(fromUplink.flows()).toEqual([]);
  const fromPort = model({}, { pcap: { p1: { rxPath } } });
  fromPort.settle();
  expect(fromPort.drops('p1')).toEqual({ too_short: 1 });
}
