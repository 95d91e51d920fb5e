// rules/domains.ts — domains: networks in which an address, or a connection, means one thing.
//
// Tenants use equal addresses, so that "the ports of group web" and "the connection from here to
// there" mean something only together with where. Within one network addresses are unique, and
// across networks that a router joins they are too (model/check.ts); so those networks are one
// domain. A routed connection comes in by one network and is answered by another; it is tracked as
// one only because both have the zone of their domain.

import type { Document } from '../model/document.ts';

/** Finds the name of a network's domain: that of the first of its networks, in order of names. */
export function domainsOf(document: Document): (network: string) => string {
  const above = new Map<string, string>();
  const find = (network: string): string => {
    let name = network;
    for (let next = above.get(name); next !== undefined; next = above.get(name)) name = next;
    return name;
  };
  const networkOf = new Map(document.subnets.map(({ name, network }) => [name, network]));
  for (const { subnets } of document.routers) {
    const networks = subnets.flatMap((name) => networkOf.get(name) ?? []);
    for (const network of networks.slice(1)) {
      const [one, other] = [find(networks[0]!), find(network)];
      if (one === other) continue;
      if (one < other) above.set(other, one);
      else above.set(one, other);
    }
  }
  return find;
}
