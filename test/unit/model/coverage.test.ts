// model/coverage.test.ts — what is accepted without effect is said, and nothing else.

import { expect, test } from 'vitest';
import { notInForce } from '../../../src/model/coverage.ts';
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
        qos: {},
      },
    ],
  });
  expect(notInForce(document)).toEqual([]);
});

test('routers and rate limits are named with what follows for traffic', () => {
  const document = documentFromValue({
    hosts,
    networks,
    routers: [{ name: 'r1' }],
    ports: [
      {
        ...port,
        name: 'a',
        mac: '02:00:00:00:00:01',
        device: 'a',
        qos: { egress: '1mbit' },
      },
    ],
  });
  expect(notInForce(document)).toEqual([
    {
      kind: 'routers',
      name: 'r1',
      message: 'Routers are not in force yet: its subnets stay apart.',
    },
    {
      kind: 'ports',
      name: 'a',
      field: 'qos',
      message: 'Rate limits are not in force yet: the port is not limited.',
    },
  ]);
});
