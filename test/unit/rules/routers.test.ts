// rules/routers.test.ts — which routers concern a host, and whom they can find.

import { expect, test } from 'vitest';
import { formatIp, formatMac } from '../../../src/lib/addresses.ts';
import { locationFlood } from '../../../src/pipeline/registers.ts';
import { Numbering } from '../../../src/rules/numbering.ts';
import { gatewaysIn, neighboursOf } from '../../../src/rules/routers.ts';
import { topologyOf } from '../../../src/rules/topology.ts';
import { documentOf } from './network.ts';

const vrrp = '"00:00:5e:00:01:01"';
const document = documentOf(`
networks: [{ name: blue, vni: 1 }, { name: green, vni: 2 }, { name: red, vni: 3 }]
subnets:
  - { name: blue4, network: blue, cidr: 10.0.1.0/24, gateway: 10.0.1.254 }
  - { name: green4, network: green, cidr: 10.0.2.0/24, gateway: 10.0.2.254 }
  - { name: red4, network: red, cidr: 10.0.3.0/24, gateway: 10.0.3.254 }
routers:
  - { name: r1, subnets: [blue4, green4] }
  - { name: r2, subnets: [red4] }
ports:
  - { name: a, network: blue, mac: "02:00:00:00:00:01", ips: [10.0.1.1], host: h1, device: a,
      allowedAddressPairs: [{ ip: 10.0.1.7 }, { ip: 10.0.1.8, mac: ${vrrp} }, { ip: 10.0.1.9 }] }
  - { name: b, network: blue, mac: "02:00:00:00:00:02", ips: [10.0.1.2], host: h2, device: b,
      allowedAddressPairs: [{ ip: 10.0.1.8, mac: ${vrrp} }, { ip: 10.0.1.9 }, { ip: 10.0.1.1 }] }
  - { name: c, network: red, mac: "02:00:00:00:00:03", ips: [10.0.3.1], host: h2, device: c }
`);
const topology = topologyOf(document, { host: 'h1', numbering: new Numbering() });

test('a router concerns a host that has a port in one of its networks', () => {
  expect(topology.routers.map(({ router, networks }) => [router.name, networks])).toEqual([
    ['r1', ['blue', 'green']],
  ]);
  expect(topology.networks.map(({ network }) => network.name)).toEqual(['blue', 'green']);
  const [plan] = topology.routers;
  expect(gatewaysIn(plan!, 'green').map(({ address }) => formatIp(address))).toEqual([
    '10.0.2.254',
  ]);
});

test('the address of a pair is found where it is clear which MAC has it', () => {
  const found = neighboursOf(topology.networks[0]!);
  const text = (ip: string) => {
    const one = found.get(ip);
    if (one === undefined) return 'nobody';
    const flood = one.location === locationFlood ? ' anywhere' : '';
    return `${one.port.port.name} ${formatMac(one.mac)}${flood}`;
  };
  expect(text('10.0.1.1')).toBe('a 02:00:00:00:00:01');
  expect(text('10.0.1.7')).toBe('a 02:00:00:00:00:01');
  expect(text('10.0.1.8')).toBe('a 00:00:5e:00:01:01 anywhere');
  expect(text('10.0.1.9')).toBe('nobody');
});
