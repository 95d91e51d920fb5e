// rules/domains.test.ts — networks that routers join, directly or by others, are one domain.

import { expect, test } from 'vitest';
import { domainsOf } from '../../../src/rules/domains.ts';
import { documentOf, example } from './network.ts';

test('networks without a router are domains of their own', () => {
  const domainOf = domainsOf(example('two-hosts.yaml'));
  expect([domainOf('blue'), domainOf('red')]).toEqual(['blue', 'red']);
});

test('networks that routers join are named by the first of them', () => {
  const domainOf = domainsOf(example('three-tier.yaml'));
  expect(['web', 'app', 'db'].map(domainOf)).toEqual(['app', 'app', 'app']);
  const names = ['d', 'c', 'b', 'a', 'e'];
  const chain = documentOf(`
networks: [${names.map((name, index) => `{ name: ${name}, vni: ${index + 1} }`).join(', ')}]
subnets:
${names
  .flatMap((name, index) =>
    [0, 1].map(
      (part) =>
        `  - { name: ${name}${part}, network: ${name}, cidr: 10.${index}.${part}.0/24, ` +
        `gateway: 10.${index}.${part}.1 }`,
    ),
  )
  .join('\n')}
routers:
  - { name: r1, subnets: [d0, c0] }
  - { name: r2, subnets: [b0, a0] }
  - { name: r3, subnets: [c1, b1] }
`);
  expect(names.map(domainsOf(chain))).toEqual(['a', 'a', 'a', 'a', 'e']);
});
