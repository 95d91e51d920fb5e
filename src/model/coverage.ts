// model/coverage.ts — which parts of a document this version accepts but does not act on yet.
//
// The document is complete from the start, so that files written today stay right. What is only
// accepted must never look as if it worked: `vtepctl status` and `vtepctl apply` print this list.
// A feature that comes into force removes its entry here, and nowhere else. Beside what no version
// yet does stands here what this document cannot have: a router finds its neighbours in the
// document, and knows nobody who is not there.

import {
  type Cidr,
  cidrContains,
  eui64Of,
  formatIp,
  parseCidr,
  parseIp,
  parseMac,
} from '../lib/addresses.ts';
import type { Document, Port, Router } from './document.ts';

/** Part of one object that has no effect yet. */
export interface NotInForce {
  /** Section of the document, such as "routers". */
  readonly kind: 'subnets' | 'routers' | 'ports';
  readonly name: string;
  /** Field of the object; absent when the whole object has no effect. */
  readonly field?: string;
  /** What that means for traffic, as a sentence. */
  readonly message: string;
}

/** Prefixes that fit one router advertisement. */
export const prefixesAdvertisedMax = 8;

/** Everything in the document that has no effect yet, in the order of the document. */
export function notInForce(document: Document): readonly NotInForce[] {
  const routed = routedNetworks(document);
  const list: NotInForce[] = [...ofSubnets(document), ...ofUnadvertised(document)];
  const slaac = slaacPrefixes(document);
  for (const router of document.routers) list.push(...ofRouter(document, router));
  const peers = new Set(
    document.hosts.filter(({ kind }) => kind === 'peer').map(({ name }) => name),
  );
  for (const port of document.ports) {
    if (routed.has(port.network)) list.push(...ofRoutedPort(port, peers.has(port.host)));
    list.push(...ofSlaacPort(port, slaac.get(port.network) ?? []));
  }
  return list;
}

/** Networks in which a router has a gateway. */
function routedNetworks({ routers, subnets }: Document): ReadonlySet<string> {
  const joined = new Set(routers.flatMap((router) => router.subnets));
  return new Set(subnets.filter(({ name }) => joined.has(name)).map(({ network }) => network));
}

function ofRoutedPort({ name, ips }: Port, behindPeer: boolean): NotInForce[] {
  const gap = (field: string, message: string) => [
    { kind: 'ports', name, field, message } as const,
  ];
  if (ips.length === 0) {
    return gap('ips', 'Routers find a port by its addresses: without any none is sent to it.');
  }
  if (!behindPeer) return [];
  const why = 'It has no gateway there: routers answer ports of hosts that run vtepd.';
  return gap('host', `The port is behind a peer. ${why}`);
}

/** Subnets that are to be advertised, and no router is there to do it. */
function ofSubnets({ subnets, routers }: Document): NotInForce[] {
  const joined = new Set(routers.flatMap((router) => router.subnets));
  return subnets
    .filter(({ name, ipv6RaMode }) => ipv6RaMode !== undefined && !joined.has(name))
    .map(({ name }) => {
      const message = 'No router joins the subnet, so nobody advertises it.';
      return { kind: 'subnets', name, field: 'ipv6RaMode', message } as const;
    });
}

/** One router of a network is advertised, with so many prefixes: the others are not told of. */
function ofUnadvertised({ subnets, routers }: Document): NotInForce[] {
  const advertised = new Map<string, { readonly router: Router; prefixes: number }>();
  const found: NotInForce[] = [];
  const gap = (name: string, message: string) =>
    found.push({ kind: 'subnets', name, field: 'ipv6RaMode', message });
  const slaac = subnets.filter(({ ipv6RaMode }) => ipv6RaMode === 'slaac');
  const byName = new Map(slaac.map((subnet) => [subnet.name, subnet]));
  for (const router of routers) {
    for (const { name, network } of router.subnets.flatMap((one) => byName.get(one) ?? [])) {
      const first = advertised.get(network) ?? { router, prefixes: 0 };
      advertised.set(network, first);
      if (first.router !== router) {
        const other = `router "${first.router.name}" is advertised in network "${network}"`;
        gap(name, `Nobody is told of router "${router.name}" and this prefix: ${other}.`);
      } else if (first.prefixes === prefixesAdvertisedMax) {
        gap(name, `Not advertised: ${prefixesAdvertisedMax} prefixes of the network are already.`);
      } else {
        first.prefixes += 1;
      }
    }
  }
  return found;
}

/** Advertised prefixes, by network. */
function slaacPrefixes({ subnets }: Document): ReadonlyMap<string, readonly Cidr[]> {
  const prefixes = new Map<string, Cidr[]>();
  for (const { network, cidr, ipv6RaMode } of subnets) {
    if (ipv6RaMode === undefined) continue;
    prefixes.set(network, [...(prefixes.get(network) ?? []), parseCidr(cidr)]);
  }
  return prefixes;
}

/** A port uses the addresses that it makes, and port security knows those of the document. */
function ofSlaacPort({ name, mac, ips, portSecurity }: Port, prefixes: readonly Cidr[]) {
  if (!portSecurity || ips.length === 0) return [];
  return prefixes
    .map(({ bytes }) => formatIp(eui64Of(bytes, parseMac(mac))))
    .filter((address) => !ips.includes(address))
    .map((address): NotInForce => {
      const message = `The port makes itself the address ${address}, which is not among its ips.`;
      return { kind: 'ports', name, field: 'ips', message };
    });
}

/** Next hops that no port has. */
function ofRouter(document: Document, { name, subnets, routes }: Router): NotInForce[] {
  if (routes.length === 0) return [];
  const joined = document.subnets.filter((subnet) => subnets.includes(subnet.name));
  const prefixes = joined.map(({ network, cidr }) => ({ network, cidr: parseCidr(cidr) }));
  const known = knownAddresses(document.ports);
  return routes.flatMap(({ destination, nextHops }) =>
    nextHops
      .filter((hop) => !known.has(`${networkOf(prefixes, hop)} ${hop}`))
      .map((hop) => {
        const message = `The route to ${destination} does not use ${hop}: no port has it.`;
        return { kind: 'routers', name, field: 'routes', message } as const;
      }),
  );
}

function networkOf(
  prefixes: readonly { readonly network: string; readonly cidr: Cidr }[],
  address: string,
): string | undefined {
  const bytes = parseIp(address);
  return prefixes.find(({ cidr }) => cidrContains(cidr, bytes))?.network;
}

function knownAddresses(ports: readonly Port[]): ReadonlySet<string> {
  return new Set(
    ports.flatMap(({ network, ips, allowedAddressPairs }) =>
      [...ips, ...allowedAddressPairs.map(({ ip }) => ip)].map((ip) => `${network} ${ip}`),
    ),
  );
}
