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

test('ACLs that hold for the same ports are one block, before the groups', () => {
  const acl = (name: string, rest: string) =>
    `  - { name: ${name}, priority: 1, action: drop, direction: egress${rest} }`;
  const { ports, ...rest } = documentOf(`
networks: [{ name: blue, vni: 1 }]
securityGroups: [{ name: a }, { name: free, stateful: false }]
acls:
${acl('one', '')}
${acl('two', ', networks: [blue]')}
${acl('three', ', networks: [blue]')}
${acl('four', ', securityGroups: [a]')}
ports:
${port('none', 1, 'vlan: 1')}
${port('grouped', 2, 'securityGroups: [a]')}
${port('loose', 3, 'securityGroups: [free]')}
`);
  const firewallOf = firewallsOf({ ports, ...rest });
  const [none, grouped, loose] = ports.map(firewallOf);
  const everywhere = ['acls of all ports', 'acls of network blue'];
  expect(none).toMatchObject({ basics: ['basics'], tiers: [everywhere, []], stateful: true });
  expect(grouped?.tiers).toEqual([
    ['acls of all ports', 'acls of group a', 'acls of network blue'],
    ['group a'],
  ]);
  expect(loose?.tiers[0]).toEqual(everywhere.map((name) => `stateless ${name}`));
});

test('the order of groups says nothing, port security and state do', () => {
  const firewallOf = firewallsOf(document);
  const [one, two, three, four, five] = document.ports.map(firewallOf);
  expect(one).toEqual({
    name: 'a+b, roles',
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
