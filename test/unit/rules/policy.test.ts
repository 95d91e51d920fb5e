// rules/policy.test.ts — what of the document's groups and sets a host needs, and nothing twice.

import { describe, expect, test } from 'vitest';
import { groupList, setList } from '../../../src/pipeline/policy.ts';
import { localLocation } from '../../../src/pipeline/registers.ts';
import { compile } from '../../../src/rules/compile.ts';
import { documentOf, example, TestNetwork } from './network.ts';

const port = (name: string, last: number, host: string, rest: string) =>
  `  - { name: ${name}, mac: "02:00:00:00:00:0${last}", ips: [10.0.0.${last}], host: ${host}, ` +
  `device: ${name}, ${rest} }`;

const pairs = 'allowedAddressPairs: [{ ip: 10.0.0.9 }]';

const document = documentOf(`
networks: [{ name: blue, vni: 1 }, { name: red, vni: 2 }]
addressSets:
  - { name: used, addresses: [192.0.2.0/24] }
  - { name: unused, addresses: [198.51.100.0/24] }
securityGroups:
  - name: web
    rules:
      - { direction: ingress, protocol: tcp, ports: 80, remoteSet: used }
      - { direction: ingress, protocol: tcp, ports: 81, remoteGroup: web }
  - { name: other, rules: [{ direction: ingress, remoteSet: unused }] }
ports:
${port('a', 1, 'h1', 'network: blue, securityGroups: [web]')}
${port('b', 2, 'h2', 'network: blue, securityGroups: [web, other]')}
${port('c', 3, 'h1', `network: red, securityGroups: [web], ${pairs}`)}
${port('d', 4, 'h1', 'network: red')}
`);

describe('a host', () => {
  const network = new TestNetwork(document, 'h1');
  const { policy } = network.compiled;

  test('compiles the groups of its own ports, and the lists that their rules refer to', () => {
    expect([...policy.blocks.keys()]).toEqual(['basics', 'roles', 'group web']);
    expect([...policy.lists.keys()]).toEqual([setList('used')]);
  });

  test('knows members of groups everywhere, each in its own domain', () => {
    const members = (domain: string) => [
      ...policy.members.get(domain)!.get(groupList('web'))!.addresses,
    ];
    expect(members('blue')).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(members('red')).toEqual(['10.0.0.3', '10.0.0.9']);
  });

  test('closes the ports that name groups, and leaves the others open', () => {
    const location = (name: string) => localLocation(network.numbering.find('logicalPorts', name)!);
    expect([...policy.ports.keys()]).toEqual([location('a'), location('c')]);
    const { tiers, stateful, fallback } = policy.ports.get(location('a'))!;
    expect([tiers, stateful]).toEqual([[['group web']], true]);
    expect(fallback.ingress).toMatchObject({
      origin: { object: 'port a', path: 'ports[a].securityGroups' },
    });
    expect(policy.receivers.get(2)).toEqual([0, location('c')]);
    expect(policy.receivers.get(1)).toEqual([location('a')]);
  });
});

test('what has not changed is the same object after the next compilation', () => {
  const { compiled, numbering } = new TestNetwork(document, 'h1');
  const options = { host: 'h1', numbering };
  expect(compile(document, options, compiled).policy).toBe(compiled.policy);
  const sets = document.addressSets.map((set) =>
    set.name === 'used' ? { ...set, addresses: ['192.0.2.0/25'] } : set,
  );
  const next = compile({ ...document, addressSets: sets }, options, compiled).policy;
  expect(next).not.toBe(compiled.policy);
  for (const name of ['blocks', 'ports', 'members'] as const) {
    expect([...next[name].values()], name).toEqual([...compiled.policy[name].values()]);
    const same = [...next[name]].every(([key, value]) => {
      return (compiled.policy[name] as ReadonlyMap<unknown, unknown>).get(key) === value;
    });
    expect(same, name).toBe(true);
  }
  const moved = document.ports.map((one) =>
    one.name === 'b' ? { ...one, ips: ['10.0.0.7'] } : one,
  );
  const members = compile({ ...document, ports: moved }, options, compiled).policy.members;
  expect(members.get('red')).toBe(compiled.policy.members.get('red'));
  expect([...members.get('blue')!.get(groupList('web'))!.addresses]).toEqual([
    '10.0.0.1',
    '10.0.0.7',
  ]);
});

test('ACLs are compiled for the ports that they hold for, and kept while none changes', () => {
  const acl = (name: string, networks: string[]) => ({
    ...{ name, priority: 1, action: 'drop' as const, direction: 'egress' as const },
    ...{ protocol: 'tcp' as const, networks, securityGroups: [] },
  });
  const acls = [acl('one', ['red']), acl('two', ['nowhere'])];
  const { compiled, numbering } = new TestNetwork({ ...document, acls }, 'h1');
  const name = 'acls of network red';
  expect(compiled.policy.blocks.get(name)?.rules).toHaveLength(1);
  expect([...compiled.policy.blocks.keys()].some((key) => key.includes('nowhere'))).toBe(false);
  const open = localLocation(numbering.find('logicalPorts', 'd')!);
  expect(compiled.policy.ports.get(open)).toMatchObject({
    tiers: [[name], []],
    fallback: { egress: { steps: [{ kind: 'commit' }] } },
  });
  const options = { host: 'h1', numbering };
  const again = compile({ ...document, acls: [...acls] }, options, compiled).policy;
  expect(again).toBe(compiled.policy);
  const changed = [{ ...acls[0]!, priority: 2 }];
  const next = compile({ ...document, acls: changed }, options, compiled).policy;
  expect(next.blocks.get(name)).not.toBe(compiled.policy.blocks.get(name));
});

test('the groups of the three tiers are those of the ports here', () => {
  const { policy } = new TestNetwork(example('three-tier.yaml'), 'h1').compiled;
  expect([...policy.blocks.keys()]).toEqual([
    'basics',
    'roles',
    'group web',
    'group app',
    'group managed',
    'acls of all ports',
  ]);
  // A router joins the tiers: what is in group web is found from every one of them.
  expect([...policy.members.keys()]).toEqual(['app']);
});
