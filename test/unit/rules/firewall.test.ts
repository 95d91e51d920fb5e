// rules/firewall.test.ts — ports with the same groups share a firewall, the others have none.

import { expect, test } from 'vitest';
import { firewallsOf } from '../../../src/rules/firewall.ts';
import { documentOf } from './network.ts';

const port = (name: string, last: number, rest: string) =>
  `  - { name: ${name}, network: blue, mac: "02:00:00:00:00:0${last}", host: h1, device: ${name}` +
  `, ${rest} }`;

const document = documentOf(`
networks: [{ name: blue, vni: 1 }]
securityGroups: [{ name: a }, { name: b }, { name: free, stateful: false }]
ports:
${port('one', 1, 'securityGroups: [a, b]')}
${port('two', 2, 'securityGroups: [b, a]')}
${port('three', 3, 'securityGroups: [a, b], portSecurity: false')}
${port('four', 4, 'securityGroups: [free]')}
${port('five', 5, 'vlan: 7')}
`);

test('the order of groups says nothing, port security and state do', () => {
  const firewallOf = firewallsOf(document);
  const [one, two, three, four, five] = document.ports.map(firewallOf);
  expect(one).toEqual({
    name: 'a+b',
    basics: ['basics', 'roles'],
    tiers: [['group a', 'group b']],
    stateful: true,
  });
  expect(two).toBe(one);
  expect(three).toMatchObject({ basics: ['basics'], tiers: one?.tiers });
  expect(three?.name).not.toBe(one?.name);
  expect(four?.stateful).toBe(false);
  expect(five).toBeUndefined();
});
