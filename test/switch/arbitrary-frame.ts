// switch/arbitrary-frame.ts — random frames that mean something to a document, and nearly do.
//
// Addresses come from the document, are known to some rule, or are foreign to both. Some frames are
// broken afterwards: cut, or with a byte changed.

import fc from 'fast-check';
import type { Document, Port } from '../../src/model/document.ts';
import { routerMacOf } from '../../src/model/router-mac.ts';
import { checksum16, u16 } from '../support/bytes.ts';
import { eth, type Packet, packet } from '../support/packet.ts';

const specialMacs = ['ff:ff:ff:ff:ff:ff', '33:33:00:00:00:01', '01:80:c2:00:00:0e'];
const foreignMac = '02:99:00:00:00:01';

const pick = <Value>(values: readonly Value[]) => fc.constantFrom(...values);

/** Frames that a port of the document may well send, and frames from anybody. */
export function arbitraryFrame(document: Document): fc.Arbitrary<Uint8Array> {
  const anybody = framesOf(document);
  if (document.ports.length === 0) return anybody;
  const owned = pick(document.ports).chain((owner) => framesOf(document, owner));
  return fc.oneof({ weight: 3, arbitrary: owned }, { weight: 2, arbitrary: anybody });
}

interface Addresses {
  readonly mac: fc.Arbitrary<string>;
  /** Of senders: those of `owner` mostly, and of anybody. */
  readonly from: {
    readonly mac: fc.Arbitrary<string>;
    ipv4: fc.Arbitrary<string>;
    ipv6: fc.Arbitrary<string>;
  };
  readonly ipv4: fc.Arbitrary<string>;
  readonly ipv6: fc.Arbitrary<string>;
}

function addressesOf(document: Document, owner: Port | undefined): Addresses {
  const { ports, routers, subnets } = document;
  const gatewayMacs = routers.flatMap((router) => Array<string>(4).fill(routerMacOf(router)));
  const known = [...ports.map(({ mac }) => mac), ...gatewayMacs];
  const gateways = subnets.flatMap(({ gateway }) => gateway ?? []);
  const ips = [...ports.flatMap((port) => port.ips), ...gateways];
  const own = owner === undefined ? [] : owner.ips.flatMap((ip) => Array<string>(12).fill(ip));
  const macs = [...known, ...known, ...known, foreignMac, ...specialMacs];
  const four = [...ips.filter((ip) => !ip.includes(':')), '0.0.0.0', '10.0.0.9', '9.9.9.9'];
  const six = [...ips.filter((ip) => ip.includes(':')), '::', 'fe80::ff:fe00:1', 'fd00::99'];
  return {
    mac: pick(macs),
    from: {
      mac: pick(owner === undefined ? macs : [owner.mac]),
      ipv4: pick([...four, ...own.filter((ip) => !ip.includes(':'))]),
      ipv6: pick([...six, ...own.filter((ip) => ip.includes(':'))]),
    },
    ipv4: pick(four),
    ipv6: pick(six),
  };
}

const port = pick([0, 53, 67, 68, 4789, 40_000]);
const transport = fc.oneof(
  fc
    .tuple(port, port, fc.nat(40))
    .map(([src, dst, size]) => packet().udp({ src, dst }).payload(size)),
  fc
    .tuple(port, port)
    .map(([src, dst]) => packet().tcp({ src, dst, flags: 'S', options: [{ mss: 1460 }] })),
  fc.tuple(port, port).map(([src, dst]) => packet().sctp({ src, dst }).sctpChunk({ type: 11 })),
  fc.constant(packet().payload(9)),
);

function inIpv4({ from, ipv4 }: Addresses): fc.Arbitrary<Packet> {
  const inside = fc.oneof(transport, fc.constant(packet().echo()));
  const place = fc.record({
    fragmentOffset: pick([0, 0, 0, 0, 8, 1480]),
    mf: pick([false, false, false, true]),
    df: fc.boolean(),
    tos: fc.nat(255),
    options: pick(['', '', '', '94040000']),
  });
  return fc.tuple(from.ipv4, ipv4, inside, place).map(([src, dst, content, fields]) =>
    packet()
      .ip({ src, dst, ...fields })
      .carry(content),
  );
}

function inIpv6({ from, ipv6, mac }: Addresses): fc.Arbitrary<Packet> {
  const messages = fc.oneof(
    transport,
    fc.constant(packet().echo6()),
    fc.tuple(ipv6, mac).map(([target, named]) => packet().neighborSolicit({ target, mac: named })),
    fc.tuple(ipv6, mac).map(([target, named]) => packet().neighborAdvert({ target, mac: named })),
    fc.constant(packet().icmp6({ type: 133 })),
    fc
      .tuple(transport, pick([0, 8]), fc.boolean())
      .map(([inside, offset, more]) =>
        packet().extension({ type: 60 }).fragment6({ id: 5, offset, more }).carry(inside),
      ),
    transport.map((inside) => packet().extension({ type: 0 }).carry(inside)),
  );
  return fc
    .tuple(from.ipv6, ipv6, messages, pick([255, 255, 255, 1]))
    .map(([src, dst, inside, hopLimit]) => packet().ip6({ src, dst, hopLimit }).carry(inside));
}

function inArp({ from, mac, ipv4 }: Addresses): fc.Arbitrary<Packet> {
  return fc
    .tuple(pick(['request', 'request', 'reply', 9] as const), from.mac, from.ipv4, mac, ipv4)
    .map(([op, senderMac, senderIp, targetMac, targetIp]) =>
      packet().arp({ op, senderMac, senderIp, targetMac, targetIp }),
    );
}

function framesOf(document: Document, owner?: Port): fc.Arbitrary<Uint8Array> {
  const addresses = addressesOf(document, owner);
  const known = document.ports.flatMap(({ vlan }) => (vlan === undefined ? [] : [[vlan]]));
  const right = owner?.vlan === undefined ? [] : [owner.vlan];
  const foreign = [[0], [5], [5, 6], ...known];
  const vlans = fc.oneof(
    { weight: 4, arbitrary: fc.constant(right) },
    { weight: 1, arbitrary: pick(foreign) },
  );
  const other = pick([packet().payload(46), packet()]);
  const [four, six] = [inIpv4(addresses), inIpv6(addresses)];
  const inside = fc.oneof(four, four, six, six, inArp(addresses), other);
  return fc
    .tuple(addresses.from.mac, addresses.mac, vlans, inside)
    .map(([src, dst, tags, content]) => {
      let start: Packet = eth({ src, dst });
      for (const tag of tags) start = start.vlan(tag);
      return start.carry(content).build();
    });
}

/** Frames of which about a third are broken: cut short, or with one byte changed. */
export function brokenNowAndThen(frames: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.tuple(frames, fc.nat(8), fc.nat(0xffff), fc.nat(255)).map(([frame, how, at, byte]) => {
    // Memory ports take whole Ethernet headers only.
    if (how === 0) return frame.slice(0, Math.max(14, at % (frame.length + 1)));
    if (how > 2) return frame;
    const broken = frame.slice();
    broken[at % frame.length] = byte;
    return how === 1 ? broken : withIpv4Checksum(broken);
  });
}

/** The frame with one bit of it changed, and the IPv4 header checksum right again. */
export function flipped(frame: Uint8Array, bit: number): Uint8Array {
  const other = frame.slice();
  other[bit >> 3]! ^= 1 << (bit & 7);
  return withIpv4Checksum(other);
}

function withIpv4Checksum(frame: Uint8Array): Uint8Array {
  let at = 12;
  while ([0x8100, 0x88a8].includes((frame[at]! << 8) | frame[at + 1]!)) at += 4;
  const start = at + 2;
  if (((frame[at]! << 8) | frame[at + 1]!) !== 0x0800 || frame.length < start + 20) return frame;
  const end = start + (frame[start]! & 15) * 4;
  if (end < start + 20 || end > frame.length) return frame;
  frame.set(u16(0), start + 10);
  frame.set(u16(checksum16(frame.subarray(start, end))), start + 10);
  return frame;
}
