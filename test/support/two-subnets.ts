// support/two-subnets.ts — four containers in two subnets on two hosts, and a router between them.
//
// c1 (h1) and c2 (h2) are in blue, c3 (h1) and c4 (h2) in green; each has an IPv4 and an IPv6
// address and uses the router r1 as its gateway.

import { expect } from 'vitest';
import { routerMacOf } from '../../src/model/router-mac.ts';
import type { Lab } from './netns.ts';
import { type TwoHosts, twoHosts } from './topology.ts';
import { datagrams, ping, transfer } from './traffic.ts';
import { applyAll, startAll, Vtepd } from './vtepd.ts';

/** A container. */
export type Name = 'c1' | 'c2' | 'c3' | 'c4';

/** Network of each container. */
export const networkOf = { c1: 'blue', c2: 'blue', c3: 'green', c4: 'green' } as const;
/** First part of the addresses of a network; its gateways end in .254 and fe. */
export const place = {
  blue: { four: '10.0.0', six: 'fd00:10::' },
  green: { four: '10.0.2', six: 'fd00:20::' },
} as const;
export const gatewayMac = routerMacOf({ name: 'r1' });

export interface SubnetOptions {
  readonly encap?: 'vxlan' | 'geneve';
  readonly underlay?: 'ipv4' | 'ipv6';
  readonly mtu?: number;
  /** More fields of a port, of the green subnet for IPv6, of the router, of the document. */
  readonly port?: (name: Name) => string;
  readonly subnet6?: string;
  readonly router?: string;
  readonly more?: string;
  /** Where a container is that has moved. */
  readonly at?: Partial<Record<Name, 'h1' | 'h2'>>;
}

export const ip = (name: Name) => `${place[networkOf[name]].four}.${name.slice(1)}`;
export const ip6 = (name: Name) => `${place[networkOf[name]].six}${name.slice(1)}`;

/** The document of it all. */
export function twoSubnetsDocument(
  { hosts, containers }: TwoHosts,
  options: SubnetOptions,
): string {
  const { encap = 'vxlan', mtu = 1500, port, subnet6 = '', router = '', more = '' } = options;
  const { at = {} } = options;
  const names = Object.keys(networkOf) as Name[];
  return `
hosts:
${Object.values(hosts)
  .map((one) => `  - { name: ${one.ns}, tunnelIp: "${one.ip}" }`)
  .join('\n')}
networks:
  - { name: blue, vni: 100, encap: ${encap}, mtu: 1500 }
  - { name: green, vni: 200, encap: ${encap}, mtu: ${mtu} }
subnets:
  - { name: blue4, network: blue, cidr: 10.0.0.0/24, gateway: 10.0.0.254 }
  - { name: blue6, network: blue, cidr: "fd00:10::/64", gateway: "fd00:10::fe" }
  - { name: green4, network: green, cidr: 10.0.2.0/24, gateway: 10.0.2.254 }
  - { name: green6, network: green, cidr: "fd00:20::/64", gateway: "fd00:20::fe" ${subnet6} }
routers:
  - { name: r1, subnets: [blue4, blue6, green4, green6] ${router} }
${more}
ports:
${names
  .map((name) => {
    const { mac, host, port: device } = containers[name];
    const addresses = `ips: [${ip(name)}, "${ip6(name)}"]`;
    const fields = `name: ${name}, network: ${networkOf[name]}, mac: "${mac}", ${addresses}`;
    const where = `host: ${at[name] ?? host}, device: ${device}`;
    return `  - { ${fields}, ${where} ${port?.(name) ?? ''} }`;
  })
  .join('\n')}
`;
}

/** Two hosts with their daemons, four containers in two subnets, and a router between these. */
export async function twoSubnets(lab: Lab, options: SubnetOptions = {}) {
  const { underlay = 'ipv4' } = options;
  const topology = await twoHosts(lab, { encapUnderlay: underlay });
  const daemons = [new Vtepd(lab, 'h1'), new Vtepd(lab, 'h2')] as const;
  const [h1, h2] = daemons;
  await startAll(daemons, twoSubnetsDocument(topology, options));
  /** Applies the document with other options; `how` are those of `vtepctl apply`. */
  const apply = async (now: SubnetOptions, ...how: string[]) => {
    const document = twoSubnetsDocument(topology, { ...options, ...now });
    await applyAll(daemons, document, ...how);
  };
  await Promise.all((Object.keys(networkOf) as Name[]).map((name) => address(lab, name)));
  return { lab, topology, h1, h2, apply };
}

/** The addresses and default routes of a container. */
async function address(lab: Lab, name: Name): Promise<void> {
  const { four, six } = place[networkOf[name]];
  await lab.ip(name, [
    'address flush dev eth0 scope global',
    `address add ${ip(name)}/24 dev eth0`,
    `address add ${ip6(name)}/64 dev eth0 nodad`,
    `route add 0.0.0.0/0 via ${four}.254`,
    `route add ::/0 via ${six}fe`,
  ]);
}

/** ping, TCP both ways and UDP of several sizes, IPv4 and IPv6. */
export async function expectTraffic(lab: Lab, from: Name, to: Name) {
  for (const target of [ip(to), ip6(to)]) {
    const path = { from, to, address: target };
    const pinged = await ping(lab, from, target);
    expect(pinged, pinged.text).toMatchObject({ received: 3, duplicates: 0 });
    for (const reverse of [false, true]) {
      const sent = await transfer(lab, path, { bytes: 4 << 20, reverse });
      expect(sent, `TCP ${from} → ${target}, reverse: ${reverse}`).toMatchObject({ ok: true });
    }
    if (target.includes(':')) continue;
    for (const size of [18, 1472, 4000]) {
      const counted = await datagrams(lab, path, { size, count: 100, rate: 500 });
      expect(counted, `UDP of ${size} bytes ${from} → ${target}`).toMatchObject({
        lost: 0,
        duplicated: 0,
        corrupted: 0,
      });
    }
  }
}
