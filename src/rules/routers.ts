// rules/routers.ts — the routers that concern one host: their gateways, neighbours and next hops.
//
// A router is distributed: each host routes what its own ports send, straight to the host of the
// receiver, by what the document knows. So nothing is asked on the wire: who has an address, by
// which MAC, and behind which VTEP, are the three tables of the overlay, and all of them come from
// the document.

import { type Cidr, formatIp, parseCidr, parseIp, parseMac } from '../lib/addresses.ts';
import type { Document, Router, Subnet } from '../model/document.ts';
import { routerMacOf } from '../model/router-mac.ts';
import { locationFlood } from '../pipeline/registers.ts';
import type { Numbering } from './numbering.ts';
import type { NetworkView, PortView } from './topology.ts';

/** A router in one of its subnets. */
export interface Gateway {
  readonly subnet: Subnet;
  readonly cidr: Cidr;
  readonly address: Uint8Array;
}

export interface RouterPlan {
  readonly router: Router;
  readonly mac: Uint8Array;
  readonly number: number;
  readonly gateways: readonly Gateway[];
  /** Networks of its subnets, none twice. */
  readonly networks: readonly string[];
}

/** Routers with a gateway in a network with a local port. */
export function routerPlans(
  document: Document,
  numbering: Numbering,
  isLocal: (network: string) => boolean,
): readonly RouterPlan[] {
  if (document.routers.length === 0) return [];
  const subnets = new Map(document.subnets.map((subnet) => [subnet.name, subnet]));
  return document.routers.flatMap((router) => {
    const joined = router.subnets.flatMap((name) => subnets.get(name) ?? []);
    const networks = [...new Set(joined.map(({ network }) => network))];
    if (!networks.some(isLocal)) return [];
    const gateways = joined.flatMap((subnet) => {
      if (subnet.gateway === undefined) return [];
      return [{ subnet, cidr: parseCidr(subnet.cidr), address: parseIp(subnet.gateway) }];
    });
    const number = numbering.number('routers', router.name);
    return [{ router, mac: parseMac(routerMacOf(router)), number, gateways, networks }];
  });
}

/** Gateways of the router in one network. */
export function gatewaysIn({ gateways }: RouterPlan, network: string): readonly Gateway[] {
  return gateways.filter(({ subnet }) => subnet.network === network);
}

/** Where packets for an address go. */
export interface Neighbour {
  readonly network: NetworkView;
  readonly mac: Uint8Array;
  readonly location: number;
  readonly port: PortView;
  /** Field of the port that names the address. */
  readonly field: 'ips' | 'allowedAddressPairs';
}

/**
 * Who has which address in a network, by its text. The address of a pair is its port's if no other
 * port may take it over; if others may, packets for its MAC go to all of the network, as they do
 * from a neighbour. When they would use different MACs, nobody knows which of them has it.
 */
export function neighboursOf(network: NetworkView): ReadonlyMap<string, Neighbour> {
  const found = new Map<string, Neighbour>();
  const pairs = new Map<string, Neighbour[]>();
  for (const port of network.ports) {
    const { mac, location } = port;
    for (const ip of port.ips) {
      found.set(formatIp(ip), { network, mac, location, port, field: 'ips' });
    }
    for (const pair of port.pairs) {
      if (pair.prefix.prefix !== pair.prefix.bytes.length * 8) continue;
      const text = formatIp(pair.prefix.bytes);
      const entry = {
        network,
        mac: pair.mac,
        location,
        port,
        field: 'allowedAddressPairs',
      } as const;
      pairs.set(text, [...(pairs.get(text) ?? []), entry]);
    }
  }
  for (const [text, claims] of pairs) {
    const [first] = claims;
    if (first === undefined || found.has(text)) continue;
    const macs = new Set(claims.map(({ mac }) => Buffer.from(mac).toString('hex')));
    if (macs.size > 1) continue;
    found.set(text, claims.length === 1 ? first : { ...first, location: locationFlood });
  }
  return found;
}
