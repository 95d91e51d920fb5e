// bench/network.ts — the overlay that the benches send packets through, and its packets.
//
// One network between two hosts: a port here, ports over there. Addresses follow from the number of
// the port, so that any number of flows can be made without keeping lists.

import type { Document } from '../src/model/document.ts';
import { documentFromValue } from '../src/model/parse.ts';
import { Packet } from '../test/support/packet.ts';

export const host = 'h1';
export const vni = 100;
export const localTunnelIp = '172.31.1.1';
export const remoteTunnelIp = '172.31.1.2';

/** Payload that makes the inner frame 64 bytes long with its checksum, the shortest there is. */
const payloadBytes = 18;
const localMac = '02:00:00:00:00:01';
const localIp = '10.0.0.1';

function remoteMac(number: number): string {
  const bytes = [16, 8, 0].map((shift) => ((number >> shift) & 0xff).toString(16).padStart(2, '0'));
  return `02:00:01:${bytes.join(':')}`;
}

function remoteIp(number: number): string {
  return `10.1.${number >> 8}.${number & 0xff}`;
}

const groupRulesEach = 1000;

/**
 * Groups of at most a thousand rules, all for the way out and each of a port range and a prefix of
 * its own; one in `10.1.0.0/16` allows the bench's packets.
 */
function securityGroups(rules: number) {
  const rule = (number: number) => ({
    direction: 'egress',
    protocol: number % 2 === 0 ? 'udp' : 'tcp',
    ports: `${20000 + (number % 400) * 100}-${20000 + (number % 400) * 100 + 149}`,
    remote: number === 0 ? '10.1.0.0/16' : `10.${1 + (number % 250)}.${(number >> 8) % 256}.0/24`,
  });
  return Array.from({ length: Math.ceil(rules / groupRulesEach) }, (_, group) => ({
    name: `group${group}`,
    rules: Array.from(
      { length: Math.min(groupRulesEach, rules - group * groupRulesEach) },
      (_, at) => rule(group * groupRulesEach + at),
    ),
  }));
}

/**
 * One network, one port on this host, `remotePorts` (at most 65536) on the other. With rules, the
 * local port has security groups of so many rules altogether.
 */
export function benchDocument(remotePorts: number, rules = 0): Document {
  const network = 'blue';
  const groups = securityGroups(rules);
  const guarded = rules === 0 ? {} : { securityGroups: groups.map(({ name }) => name) };
  const remote = Array.from({ length: remotePorts }, (_, number) => ({
    name: `remote${number}`,
    network,
    mac: remoteMac(number),
    ips: [remoteIp(number)],
    host: 'h2',
    device: `remote${number}`,
  }));
  const local = { name: 'local', network, mac: localMac, ips: [localIp], host, device: 'local0' };
  const guardedLocal = { ...local, ...guarded };
  return documentFromValue({
    hosts: [
      { name: host, tunnelIp: localTunnelIp },
      { name: 'h2', tunnelIp: remoteTunnelIp },
    ],
    networks: [{ name: network, vni, encap: 'vxlan', mtu: 1450 }],
    subnets: [{ name: 'blue4', network, cidr: '10.0.0.0/8' }],
    securityGroups: groups,
    ports: [guardedLocal, ...remote],
  });
}

/** A 60-byte UDP packet from the local port to a remote one. */
export function benchFrame(remote: number, sourcePort: number): Uint8Array {
  return new Packet()
    .eth({ src: localMac, dst: remoteMac(remote) })
    .ip({ src: localIp, dst: remoteIp(remote) })
    .udp({ src: sourcePort, dst: 20100 })
    .raw(new Uint8Array(payloadBytes))
    .build();
}

/** The same way round: from a remote port, as it comes in a VXLAN packet of the other host. */
export function benchTunnelFrame(remote: number, sourcePort: number): Uint8Array {
  return new Packet()
    .eth({ src: '02:00:00:00:ff:02', dst: '02:00:00:00:ff:01' })
    .ip({ src: remoteTunnelIp, dst: localTunnelIp })
    .udp({ src: 49152 + (sourcePort & 0x3fff), dst: 4789, checksum: 0 })
    .vxlan(vni)
    .eth({ src: remoteMac(remote), dst: localMac })
    .ip({ src: remoteIp(remote), dst: localIp })
    .udp({ src: sourcePort, dst: 20100 })
    .raw(new Uint8Array(payloadBytes))
    .build();
}
