// support/plain-router.ts — where a router sends a packet, found out the slow and obvious way.
//
// Reads the document subnet by subnet and route by route, and asks every port whether it has the
// address; no table, no mask, no priority. The fast way is held against it, so it shares nothing
// with src/pipeline and src/rules but the document.

import { cidrContains, formatIp, parseCidr, parseIp } from '../../src/lib/addresses.ts';
import type { Document, Port, Router } from '../../src/model/document.ts';

/** What becomes of a packet that a port sends to its gateway's MAC. */
export type PlainFate =
  /** Names of the ports that may receive it: more than one where ways are equal. */
  | { readonly ports: readonly string[] }
  | { readonly drop: 'no_route' | 'host_unreachable' | 'router_itself' | 'unknown_mac' };

/** Prefixes that nothing is routed to. */
const never = ['169.254.0.0/16', '127.0.0.0/8', 'fe80::/10', 'ff00::/8', '::/127'];

/** The fate of a packet (no ping) from a port, through the router, to an address. */
export function routeOf(
  document: Document,
  router: Router,
  from: Port,
  address: string,
): PlainFate {
  const to = parseIp(address);
  const subnets = document.subnets.filter(({ name }) => router.subnets.includes(name));
  const entered = subnets.some(
    ({ network, cidr }) => network === from.network && cidr.includes(':') === address.includes(':'),
  );
  if (!entered) return { drop: 'unknown_mac' };
  if (subnets.some(({ gateway }) => gateway === address)) return { drop: 'router_itself' };
  const within = (prefix: string) => cidrContains(parseCidr(prefix), to);
  if (never.some(within) || (to.length === 4 && to[0]! >= 224)) return { drop: 'no_route' };
  const length = (prefix: string) => Number(prefix.split('/')[1]);
  const connected = subnets.find(({ cidr }) => within(cidr));
  const [route] = router.routes
    .filter(({ destination }) => within(destination))
    .sort((one, other) => length(other.destination) - length(one.destination));
  if (connected === undefined && route === undefined) return { drop: 'no_route' };
  const isStatic =
    route !== undefined &&
    (connected === undefined || length(route.destination) > length(connected.cidr));
  const hops = isStatic ? route.nextHops : [address];
  const ports = hops.flatMap((hop) => {
    const network = subnets.find(({ cidr }) =>
      cidrContains(parseCidr(cidr), parseIp(hop)),
    )?.network;
    const text = formatIp(parseIp(hop));
    return document.ports.filter((port) => port.network === network && port.ips.includes(text));
  });
  if (ports.length === 0) return { drop: 'host_unreachable' };
  return { ports: ports.map(({ name }) => name) };
}
