// rules/advertise.test.ts — of which router a network is told, and through which ports.

import { expect, test } from 'vitest';
import { formatActions } from '../../../src/flow/actions.ts';
import { advertisedIn, advertisementsOf } from '../../../src/rules/advertise.ts';
import { Numbering } from '../../../src/rules/numbering.ts';
import { topologyOf } from '../../../src/rules/topology.ts';
import { documentOf } from './network.ts';

const document = documentOf(`
networks:
  - { name: blue, vni: 1, mtu: 1400 }
  - { name: green, vni: 2 }
  - { name: far, vni: 3 }
subnets:
  - { name: blue4, network: blue, cidr: 10.0.1.0/24, gateway: 10.0.1.254 }
  - { name: blue6, network: blue, cidr: "fd00:1::/64", gateway: "fd00:1::fe", ipv6RaMode: slaac }
  - { name: more6, network: blue, cidr: "fd00:9::/64", gateway: "fd00:9::fe", ipv6RaMode: slaac }
  - { name: late6, network: blue, cidr: "fd00:8::/64", gateway: "fd00:8::fe", ipv6RaMode: slaac }
  - { name: green6, network: green, cidr: "fd00:2::/64", gateway: "fd00:2::fe" }
  - { name: far6, network: far, cidr: "fd00:3::/64", gateway: "fd00:3::fe", ipv6RaMode: slaac }
routers:
  - { name: quiet, subnets: [green6] }
  - { name: r1, subnets: [blue4, blue6, more6, far6], mac: "02:00:00:00:aa:01" }
  - { name: r2, subnets: [late6] }
ports:
  - { name: a, network: blue, mac: "02:00:00:00:00:01", host: h1, device: a }
  - { name: b, network: blue, mac: "02:00:00:00:00:02", host: h1, device: t, vlan: 30 }
  - { name: d, network: blue, mac: "02:00:00:00:00:04", host: h2, device: d }
  - { name: e, network: green, mac: "02:00:00:00:00:05", host: h1, device: e }
  - { name: f, network: far, mac: "02:00:00:00:00:06", host: h2, device: f }
`);
const numbering = new Numbering();
const topology = topologyOf(document, { host: 'h1', numbering });

test('the first router with something to advertise is, with all its prefixes there', () => {
  const told = topology.networks.map((network) => {
    const advertised = advertisedIn(network);
    return [network.network.name, advertised?.plan.router.name];
  });
  expect(told).toEqual([
    ['blue', 'r1'],
    ['green', undefined],
    ['far', 'r1'],
  ]);
});

test('local ports that have a device are told unasked', () => {
  const [blue, ...others] = advertisementsOf(topology);
  expect(others).toEqual([]);
  expect(formatActions(blue!.program, 0, blue!.program.length)).toBe(
    'router_advert(02:00:00:00:aa:01),router_prefix(fd00:1::/64),router_prefix(fd00:9::/64)',
  );
  expect(blue!.ports).toEqual([
    { device: numbering.find('devices', 'a'), vlan: 0 },
    { device: numbering.find('devices', 't'), vlan: 30 },
  ]);
});
