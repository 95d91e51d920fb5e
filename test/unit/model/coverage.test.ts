// model/coverage.test.ts — what is accepted without effect is said, and nothing else.

import { expect, test } from 'vitest';
import { notInForce, prefixesAdvertisedMax } from '../../../src/model/coverage.ts';
import { documentFromValue } from '../../../src/model/parse.ts';

const port = { network: 'blue', host: 'h1' };
const hosts = [{ name: 'h1', tunnelIp: '172.31.1.1' }];
const networks = [{ name: 'blue', vni: 1, encap: 'geneve', learning: true, mtu: 1400 }];

test('everything that this version forwards by is in force', () => {
  const document = documentFromValue({
    hosts: [...hosts, { name: 'p', tunnelIp: '172.31.1.2', kind: 'peer', networks: ['blue'] }],
    networks,
    subnets: [{ name: 's', network: 'blue', cidr: '10.0.0.0/24', gateway: '10.0.0.1' }],
    securityGroups: [{ name: 'web', rules: [{ direction: 'ingress' }] }],
    ports: [
      {
        ...port,
        name: 'a',
        mac: '02:00:00:00:00:01',
        device: 't1',
        vlan: 7,
        portSecurity: false,
        allowedAddressPairs: [{ ip: '10.0.0.9' }],
        securityGroups: ['web'],
        qos: { egress: '1mbit' },
      },
    ],
  });
  expect(notInForce(document)).toEqual([]);
});

test('addresses that nobody advertises, or that port security would not know, are named', () => {
  const six = { network: 'blue', ipv6RaMode: 'slaac' };
  const document = documentFromValue({
    hosts,
    networks,
    subnets: [
      { ...six, name: 's', cidr: 'fd00:1::/64', gateway: 'fd00:1::1' },
      { ...six, name: 't', cidr: 'fd00:2::/64', gateway: 'fd00:2::1' },
    ],
    routers: [{ name: 'r1', subnets: ['s'] }],
    ports: [
      {
        ...port,
        name: 'a',
        mac: '02:00:00:00:00:01',
        device: 'a',
        ips: ['fd00:1::ff:fe00:1'],
      },
    ],
  });
  expect(notInForce(document).map(({ kind, name, message }) => [kind, name, message])).toEqual([
    ['subnets', 't', 'No router joins the subnet, so nobody advertises it.'],
    [
      'ports',
      'a',
      'The port makes itself the address fd00:2::ff:fe00:1, which is not among its ips.',
    ],
  ]);
});

test('of two advertised routers the second is named, and a prefix that has no room', () => {
  const six = (name: string, number: number) => ({
    network: 'blue',
    ipv6RaMode: 'slaac',
    name,
    cidr: `fd00:${number}::/64`,
    gateway: `fd00:${number}::1`,
  });
  const many = Array.from({ length: prefixesAdvertisedMax + 1 }, (_, index) => `s${index}`);
  const document = documentFromValue({
    hosts,
    networks,
    subnets: [...many.map((name, index) => six(name, index + 1)), six('other', 99)],
    routers: [
      { name: 'r1', subnets: many },
      { name: 'r2', subnets: ['other'] },
    ],
  });
  expect(notInForce(document)).toEqual([
    {
      ...{ kind: 'subnets', name: 's8', field: 'ipv6RaMode' },
      message: 'Not advertised: 8 prefixes of the network are already.',
    },
    {
      ...{ kind: 'subnets', name: 'other', field: 'ipv6RaMode' },
      message:
        'Nobody is told of router "r2" and this prefix: ' +
        'router "r1" is advertised in network "blue".',
    },
  ]);
});

test('whom a router cannot find is named, and which next hops nobody has', () => {
  const document = documentFromValue({
    hosts: [...hosts, { name: 'p', tunnelIp: '172.31.1.2', kind: 'peer', networks: ['blue'] }],
    networks,
    subnets: [{ name: 's', network: 'blue', cidr: '10.0.0.0/24', gateway: '10.0.0.1' }],
    routers: [
      {
        name: 'r1',
        subnets: ['s'],
        routes: [{ destination: '0.0.0.0/0', nextHops: ['10.0.0.2', '10.0.0.3', '10.0.0.4'] }],
      },
    ],
    ports: [
      { ...port, name: 'a', mac: '02:00:00:00:00:01', device: 'a' },
      { ...port, name: 'b', mac: '02:00:00:00:00:02', ips: ['10.0.0.2'], host: 'p' },
      {
        ...port,
        name: 'c',
        mac: '02:00:00:00:00:03',
        ips: ['10.0.0.5'],
        device: 'c',
        allowedAddressPairs: [{ ip: '10.0.0.3' }],
      },
    ],
  });
  expect(notInForce(document).map(({ name, field, message }) => [name, field, message])).toEqual([
    ['r1', 'routes', 'The route to 0.0.0.0/0 does not use 10.0.0.4: no port has it.'],
    ['a', 'ips', 'Routers find a port by its addresses: without any none is sent to it.'],
    [
      'b',
      'host',
      'The port is behind a peer. ' +
        'It has no gateway there: routers answer ports of hosts that run vtepd.',
    ],
  ]);
});
