// rules/objects.test.ts — ports, tunnels, groups and networks that the data path must have.

import { expect, test } from 'vitest';
import { example, TestNetwork } from './network.ts';

test('each device, tunnel, network and group appears once, by name', () => {
  const { compiled, numbering } = new TestNetwork(example('trunk.yaml'), 'h1');
  const { ports, tunnels, groups, networks, endpoints } = compiled.objects;
  expect([...ports]).toEqual([
    ['t1', { number: numbering.find('devices', 't1'), device: 't1', mode: 'auto' }],
  ]);
  expect([...tunnels.values()].map(({ remote, local, encap }) => [local, remote, encap])).toEqual([
    ['fd00:172:31::1', 'fd00:172:31::2', 'vxlan'],
    ['fd00:172:31::1', 'fd00:172:31::9', 'vxlan'],
  ]);
  expect([...networks]).toEqual([
    ['blue', { vni: 100, encap: 'vxlan' }],
    ['red', { vni: 200, encap: 'vxlan' }],
    ['lab', { vni: 300, encap: 'vxlan' }],
  ]);
  const port = numbering.find('devices', 't1')!;
  expect(groups.get('lab/all')?.members).toEqual([
    { kind: 'port', number: port, vlan: 30, meter: 0 },
    { kind: 'tunnel', number: numbering.find('tunnels', 'old-switch/vxlan'), vlan: 0, meter: 0 },
  ]);
  expect(groups.get('blue/local')?.members.map(({ vlan }) => vlan)).toEqual([0, 10]);
  expect(endpoints).toEqual(['fd00:172:31::1']);
});
