// model/check-security.test.ts — rules that say something, and rules that never could.

import { describe, expect, test } from 'vitest';
import { checkDocument } from '../../../src/model/check.ts';
import { documentFromValue } from '../../../src/model/parse.ts';

const shape = documentFromValue({ addressSets: [{ name: 'all', addresses: ['10.0.0.0/8'] }] });

/** Fields that are reported for one rule of group "web". */
function reported(rule: object): string[] {
  // Past the schema on purpose: only what fields mean together is asked here.
  const rules = [{ direction: 'ingress' as const, protocol: 'any' as const, ...rule }];
  const document = { ...shape, securityGroups: [{ name: 'web', rules, stateful: true }] };
  return checkDocument(document).map(({ path }) => String(path.at(-1)));
}

describe('a rule', () => {
  test.each([
    {},
    { protocol: 'tcp', ports: '80-443', remote: '0.0.0.0/0' },
    { protocol: 17, ports: '53', remoteGroup: 'web' },
    { protocol: 132, ports: '1', remoteSet: 'all' },
    { protocol: 'icmp', remote: '10.0.0.0/8' },
    { protocol: 'icmpv6', remote: 'fd00::/8' },
    { protocol: 58, remoteGroup: 'web' },
    { protocol: 'icmp', icmpType: 8 },
    { protocol: 58, icmpType: 1, icmpCode: 4 },
    { protocol: 47, remote: '::/0' },
  ])('that can match is right: %j', (rule) => expect(reported(rule)).toEqual([]));

  test.each([
    [{ ports: '80' }, ['ports']],
    [{ protocol: 'icmp', ports: '8' }, ['ports']],
    [{ protocol: 47, ports: '80' }, ['ports']],
    [{ protocol: 'icmp', remote: 'fd00::1' }, ['remote']],
    [{ protocol: 1, remote: '::/0' }, ['remote']],
    [{ protocol: 'icmpv6', remote: '10.0.0.1' }, ['remote']],
    [{ protocol: 'tcp', icmpType: 8 }, ['icmpType']],
    [{ protocol: 'icmp', icmpCode: 0 }, ['icmpCode']],
    [{ remote: '10.0.0.1', remoteSet: 'all' }, ['remoteSet']],
    [{ remoteGroup: 'web', remoteSet: 'all' }, ['remoteSet']],
    [{ remoteGroup: 'none' }, ['remoteGroup']],
    [{ remoteSet: 'none' }, ['remoteSet']],
  ])('that cannot match is reported at the field to change: %j', (rule, fields) => {
    expect(reported(rule)).toEqual(fields);
  });
});

test('a port has stateful groups or stateless ones', () => {
  const group = (name: string, stateful: boolean) => ({ name, stateful });
  const port = (index: number, securityGroups: string[]) => ({
    ...{ name: `p${index}`, network: 'blue', mac: `02:00:00:00:00:0${index}` },
    ...{ host: 'h1', device: `p${index}`, securityGroups },
  });
  const right = documentFromValue({
    hosts: [{ name: 'h1', tunnelIp: '172.31.1.1' }],
    networks: [{ name: 'blue', vni: 1 }],
    securityGroups: [group('a', true), group('b', true), group('c', false), group('d', false)],
    ports: [port(1, ['a', 'b']), port(2, ['c', 'd']), port(3, ['b'])],
  });
  const mixed = { ...right.ports[2]!, securityGroups: ['b', 'd'] };
  expect(checkDocument({ ...right, ports: [mixed] })).toEqual([
    {
      path: ['ports', 0, 'securityGroups', 1],
      message: 'group "d" is stateless, "b" is stateful',
      expected: 'a stateful group',
    },
  ]);
});
