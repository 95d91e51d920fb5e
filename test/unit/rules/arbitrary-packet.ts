// rules/arbitrary-packet.ts — packets as they occur in a compiled document, and almost occur.
//
// Each field comes from the document (devices, VLANs, VNIs, MACs, addresses, tunnels), or is a
// special value that some rule knows, or is foreign to both, so that every rule is met and nearly
// met.

import fc from 'fast-check';
import { field, newKey, setBytes, setNumber } from '../../../src/flow/key.ts';
import { parseIp, parseMac } from '../../../src/lib/addresses.ts';
import type { Document } from '../../../src/model/document.ts';
import { routerMacOf } from '../../../src/model/router-mac.ts';
import { linkLocalOf } from '../../../src/rules/topology.ts';
import type { TestNetwork } from './network.ts';

const zeroMac = '00:00:00:00:00:00';
const specialMacs = ['ff:ff:ff:ff:ff:ff', '33:33:00:00:00:01', '01:80:c2:00:00:0e', zeroMac];
const foreignMac = '02:99:00:00:00:01';

/** A key of 28 words. */
export function arbitraryPacket(
  document: Document,
  network: TestNetwork,
): fc.Arbitrary<Uint32Array> {
  const { ports, networks, routers, subnets } = document;
  const macTexts = ports.flatMap(({ mac, allowedAddressPairs }) => [
    mac,
    ...allowedAddressPairs.flatMap((pair) => pair.mac ?? []),
  ]);
  const gatewayMacs = routers.flatMap((router) => Array<string>(4).fill(routerMacOf(router)));
  const macs = [...macTexts, ...gatewayMacs, foreignMac, ...specialMacs].map(parseMac);
  const pairs = ports.flatMap((port) =>
    port.allowedAddressPairs.map(({ ip }) => ip.split('/')[0]!),
  );
  const gateways = subnets.flatMap(({ gateway }) => gateway ?? []);
  const ips = [...ports.flatMap((port) => port.ips), ...pairs, ...gateways].map(parseIp);
  const ipv4 = [
    ...ips.filter(({ length }) => length === 4),
    '0.0.0.0',
    '255.255.255.255',
    '9.9.9.9',
  ].map((entry) => (typeof entry === 'string' ? parseIp(entry) : entry));
  const ipv6 = [
    ...ips.filter(({ length }) => length === 16),
    ...macTexts.map((mac) => linkLocalOf(parseMac(mac))),
    parseIp('::'),
    parseIp('2001:db8::9'),
  ];
  const devices = [...network.numbering.names('devices')].map(
    (name) => network.numbering.find('devices', name)!,
  );
  const tunnels = [...network.numbering.names('tunnels')].map(
    (name) => network.numbering.find('tunnels', name)!,
  );
  const vlans = [
    0,
    0x1000,
    ...ports.flatMap(({ vlan }) => (vlan === undefined ? [] : [vlan | 0x1000])),
  ];
  const one = <Value>(values: readonly Value[]) => fc.constantFrom(...values);
  return fc
    .record({
      in_port: one([...devices, 999]),
      tunnel: fc.option(
        fc.record({
          vni: one([...networks.map(({ vni }) => vni), 77]),
          from: one([...tunnels, 0, 55]),
        }),
      ),
      eth_type: one([0x0800, 0x0800, 0x0806, 0x86dd, 0x86dd, 0x88b5]),
      vlan_tci: one(vlans),
      vlan_tci2: one([0, 0, 0, 0x1005]),
      macs: fc.tuple(one(macs), one(macs), one(macs), one(macs)),
      ip_proto: one([1, 2, 6, 17, 58, 58]),
      ip_frag: one([0, 0, 1, 3]),
      ports: fc.tuple(one([0, 8, 67, 68, 128, 133, 135, 136, 143, 4000]), one([0, 67, 68, 80])),
      ipv4: fc.tuple(one(ipv4), one(ipv4)),
      ipv6: fc.tuple(one(ipv6), one(ipv6), one(ipv6)),
    })
    .map(keyOf);
}

/** What the fields of a packet may be; one draw of the record above. */
interface Draw {
  readonly in_port: number;
  readonly tunnel: { readonly vni: number; readonly from: number } | null;
  readonly eth_type: number;
  readonly vlan_tci: number;
  readonly vlan_tci2: number;
  readonly macs: readonly Uint8Array[];
  readonly ip_proto: number;
  readonly ip_frag: number;
  readonly ports: readonly number[];
  readonly ipv4: readonly Uint8Array[];
  readonly ipv6: readonly Uint8Array[];
}

function keyOf(packet: Draw): Uint32Array {
  const key = newKey();
  const set = (name: 'in_port' | 'tunnel_id' | 'tunnel_src' | 'eth_type', value: number) =>
    setNumber(key, 0, field[name], value);
  set('in_port', packet.in_port);
  set('tunnel_id', packet.tunnel?.vni ?? 0);
  set('tunnel_src', packet.tunnel?.from ?? 0);
  set('eth_type', packet.eth_type);
  setNumber(key, 0, field.vlan_tci, packet.vlan_tci);
  setNumber(key, 0, field.vlan_tci2, packet.vlan_tci2);
  setNumber(key, 0, field.ip_proto, packet.ip_proto);
  setNumber(key, 0, field.ip_frag, packet.ip_frag);
  setNumber(key, 0, field.tp_src, packet.ports[0]!);
  setNumber(key, 0, field.tp_dst, packet.ports[1]!);
  setBytes(key, 0, field.eth_src, packet.macs[0]!);
  setBytes(key, 0, field.eth_dst, packet.macs[1]!);
  setBytes(key, 0, field.arp_sha, packet.macs[2]!);
  setBytes(key, 0, field.arp_tha, packet.macs[3]!);
  setBytes(key, 0, field.ip_src, packet.ipv4[0]!);
  setBytes(key, 0, field.ip_dst, packet.ipv4[1]!);
  setBytes(key, 0, field.ipv6_src, packet.ipv6[0]!);
  setBytes(key, 0, field.ipv6_dst, packet.ipv6[1]!);
  setBytes(key, 0, field.nd_target, packet.ipv6[2]!);
  return key;
}
