// model/check-routing.ts — what routers, their subnets and their routes mean together.
//
// A route is refused when it can lead nowhere whatever else the document says: its next hop is in
// no subnet of the router, is the router itself, or is of the other family. A next hop that no port
// has is accepted, since the port may come later; model/coverage.ts says that it is not in force.

import * as addresses from '../lib/addresses.ts';
import { type Checked, unique, uniqueEntries } from './checked.ts';
import type { Route, Subnet } from './document.ts';
import type { Path } from './source.ts';

/** A subnet with its prefix read. */
export interface ParsedSubnet {
  readonly subnet: Subnet;
  readonly index: number;
  readonly cidr: addresses.Cidr;
}

/** Reports dangling names, subnets that no router can join, and routes that lead nowhere. */
export function checkRouters(checked: Checked, subnets: ReadonlyMap<string, ParsedSubnet>): void {
  const owners = new Map<string, string>();
  for (const [index, router] of checked.document.routers.entries()) {
    const parsed: ParsedSubnet[] = [];
    uniqueEntries(checked, router.subnets, ['routers', index, 'subnets']);
    for (const [entry, name] of router.subnets.entries()) {
      const path = ['routers', index, 'subnets', entry];
      const subnet = subnets.get(name);
      if (!checked.known('subnets', name, path) || subnet === undefined) continue;
      if (subnet.subnet.gateway === undefined) {
        const message = `subnet "${name}" has no gateway`;
        checked.report(path, message, 'a subnet with a gateway, the address of the router in it');
      }
      // A repeated entry of one list is reported as such, not as an overlap with itself.
      if (owners.get(name) === router.name) continue;
      unique(checked, owners, {
        key: name,
        owner: router.name,
        path,
        message: `subnet "${name}" is joined already`,
        expected: 'each subnet at one router',
      });
      parsed.push({ ...subnet, index: entry });
    }
    for (const [subnet, other] of overlaps(parsed)) {
      if (subnet.subnet.network === other.subnet.network) continue;
      const message = `${subnet.subnet.cidr} overlaps subnet "${other.subnet.name}"`;
      const expected = 'subnets that share no address, so that each has one way';
      checked.report(['routers', index, 'subnets', subnet.index], message, expected);
    }
    checkRoutes(checked, index, parsed);
  }
}

function checkRoutes(checked: Checked, router: number, subnets: readonly ParsedSubnet[]): void {
  const owners = new Map<string, string>();
  const connected = new Map(
    subnets.map(({ subnet, cidr }) => [addresses.formatCidr(cidr), subnet.name]),
  );
  for (const [index, route] of checked.document.routers[router]!.routes.entries()) {
    const path = ['routers', router, 'routes', index];
    const destination = [...path, 'destination'];
    unique(checked, owners, {
      key: route.destination,
      owner: `routes[${index}]`,
      path: destination,
      message: `${route.destination} is taken`,
      expected: 'one route for a destination, with all next hops in it',
    });
    const own = connected.get(route.destination);
    if (own !== undefined) {
      const message = `${route.destination} is subnet "${own}" of the router itself`;
      checked.report(destination, message, 'a prefix that the router is not connected to');
    }
    uniqueEntries(checked, route.nextHops, [...path, 'nextHops']);
    checkNextHops(checked, route, subnets, path);
  }
}

function checkNextHops(
  checked: Checked,
  { destination, nextHops }: Route,
  subnets: readonly ParsedSubnet[],
  path: Path,
): void {
  for (const [entry, text] of nextHops.entries()) {
    const place = [...path, 'nextHops', entry];
    if (text.includes(':') !== destination.includes(':')) {
      const message = `${text} is of another family than ${destination}`;
      checked.report(place, message, 'next hops of the family of the destination');
      continue;
    }
    const hop = addresses.parseIp(text);
    const on = subnets.find(({ cidr }) => addresses.cidrContains(cidr, hop));
    if (on === undefined) {
      const message = `${text} is in no subnet of the router: a route to nowhere`;
      checked.report(place, message, 'an address in a subnet of the router');
    } else if (on.subnet.gateway === text) {
      checked.report(place, `${text} is the router itself`, 'the address of another router');
    }
  }
}

/** Pairs that share addresses, the later one of the document first. */
export function overlaps(subnets: readonly ParsedSubnet[]): [ParsedSubnet, ParsedSubnet][] {
  if (subnets.length < 2) return [];
  const keyed = subnets.map((parsed) => ({ parsed, key: sortKey(parsed.cidr) }));
  keyed.sort((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : 0));
  const pairs: [ParsedSubnet, ParsedSubnet][] = [];
  // Prefixes nest: in this order one overlaps its predecessors only if the last wide one holds it.
  let cover: ParsedSubnet | undefined;
  for (const { parsed } of keyed) {
    if (cover === undefined || !addresses.cidrsOverlap(cover.cidr, parsed.cidr)) cover = parsed;
    else if (cover.index < parsed.index) pairs.push([parsed, cover]);
    else pairs.push([cover, parsed]);
  }
  return pairs;
}

function sortKey(cidr: addresses.Cidr): string {
  const prefix = String(cidr.prefix).padStart(3, '0');
  return `${cidr.family}:${Buffer.from(cidr.bytes).toString('hex')}/${prefix}`;
}
