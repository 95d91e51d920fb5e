// rules/commit.test.ts — connections are tracked where a local port asks, and committed once.

import { expect, test } from 'vitest';
import { documentOf, TestNetwork } from './network.ts';

const port = (name: string, last: number, network: string, groups: string) =>
  `  - { name: ${name}, network: ${network}, mac: "02:00:00:00:00:0${last}", ` +
  `ips: [10.0.0.${last}], host: h1, device: ${name}, securityGroups: [${groups}] }`;

const network = new TestNetwork(
  documentOf(`
networks: [{ name: blue, vni: 1 }, { name: red, vni: 2 }, { name: grey, vni: 3 }]
securityGroups:
  - { name: any, rules: [{ direction: egress }, { direction: ingress }] }
  - { name: free, stateful: false, rules: [{ direction: egress }, { direction: ingress }] }
ports:
${port('a', 1, 'blue', 'any')}
${port('b', 2, 'blue', 'any')}
${port('c', 3, 'blue', '')}
${port('d', 4, 'red', 'free')}
${port('e', 5, 'red', 'free')}
${port('f', 6, 'grey', '')}
`),
  'h1',
);

const packet = (from: string, source: number, to: number, state: string) =>
  `in_port=${from},eth_src=02:00:00:00:00:0${source},eth_dst=02:00:00:00:00:0${to},eth_type=ip,` +
  `ip_src=10.0.0.${source},ip_dst=10.0.0.${to},ip_proto=udp,tp_src=9,tp_dst=9,ct_state=${state}`;

test('a new connection is committed first of all, once for sender and receiver', () => {
  expect(network.verdict(packet('a', 1, 2, '0x21'))).toBe('ct_commit(1),output(b)');
  expect(network.verdict(packet('c', 3, 2, '0x21'))).toBe('ct_commit(1),output(b)');
  expect(network.verdict(packet('a', 1, 3, '0x21'))).toBe('ct_commit(1),output(c)');
});

test('an established one is not, and neither is one that nobody tracks', () => {
  expect(network.verdict(packet('a', 1, 2, '0x22'))).toBe('output(b)');
  expect(network.verdict(packet('b', 2, 1, '0x2a'))).toBe('output(a)');
  expect(network.verdict(packet('d', 4, 5, '0'))).toBe('output(e)');
});

test('only networks with a stateful port have a zone', () => {
  const zones = [...network.compiled.objects.zones.values()];
  expect(zones.map(({ port: device, vni }) => [device, vni])).toEqual([
    [1, 0],
    [2, 0],
    [3, 0],
    [0, 1],
  ]);
});
