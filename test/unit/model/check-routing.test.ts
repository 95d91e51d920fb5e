// model/check-routing.test.ts — routers that are right; the wrong ones are in fixtures/documents.

import { expect, test } from 'vitest';
import { checkDocument } from '../../../src/model/check.ts';
import { documentFromValue } from '../../../src/model/parse.ts';

const networks = [{ name: 'blue', vni: 1 }];
const subnets = [
  { name: 'a', network: 'blue', cidr: '10.0.0.0/24', gateway: '10.0.0.1' },
  { name: 'b', network: 'blue', cidr: 'fd00::/64', gateway: 'fd00::1' },
];

test.each([
  [
    'default routes of both families, and one inside a subnet',
    [
      { destination: '0.0.0.0/0', nextHops: ['10.0.0.2', '10.0.0.3'] },
      { destination: '::/0', nextHops: ['fd00::2'] },
      { destination: '10.0.0.128/25', nextHops: ['10.0.0.2'] },
    ],
  ],
  ['a next hop that no port has yet', [{ destination: '10.9.0.0/16', nextHops: ['10.0.0.9'] }]],
])('a router may have %s', (_, routes) => {
  const routers = [{ name: 'r', subnets: ['a', 'b'], routes }];
  expect(checkDocument(documentFromValue({ networks, subnets, routers }))).toEqual([]);
});
