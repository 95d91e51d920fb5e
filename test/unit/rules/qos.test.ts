// rules/qos.test.ts — where rate limits stand among the actions, and what their buckets hold.

import { expect, test } from 'vitest';
import { parseDocument } from '../../../src/model/parse.ts';
import { TestNetwork } from './network.ts';

const documentOf = (qos: string) =>
  parseDocument(`
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }, { name: h2, tunnelIp: 172.31.1.2 }]
networks: [{ name: blue, vni: 100 }]
ports:
  - { name: c1, network: blue, mac: "02:00:00:00:00:01", ips: [10.0.0.1], host: h1, device: c1,
      qos: ${qos} }
  - { name: c2, network: blue, mac: "02:00:00:00:00:02", ips: [10.0.0.2], host: h1, device: c2 }
  - { name: c3, network: blue, mac: "02:00:00:00:00:03", ips: [10.0.0.3], host: h2, device: c3,
      qos: { ingress: 1mbit, egress: 1mbit } }
`);

const packet = (from: number, to: number) =>
  `in_port=c${from},eth_src=02:00:00:00:00:0${from},eth_dst=02:00:00:00:00:0${to},` +
  `eth_type=ip,ip_src=10.0.0.${from},ip_dst=10.0.0.${to}`;

test('a port is policed first in what it sends, and last in what it gets', () => {
  const network = new TestNetwork(documentOf('{ ingress: 200mbit, egress: 1gbit }'), 'h1');
  expect(network.verdict(packet(1, 2))).toBe('meter(2),output(c2)');
  expect(network.verdict(packet(2, 1))).toBe('meter(1),output(c1)');
  expect(network.verdict(packet(2, 3))).not.toContain('meter');
  expect([...network.compiled.objects.meters]).toEqual([
    ['c1/ingress', { number: 1, rate: 25_000_000, burst: 6_250_000 }],
    ['c1/egress', { number: 2, rate: 125_000_000, burst: 31_250_000 }],
  ]);
});

test('a slow port may still send superpackets, and another rate touches no rule', () => {
  const slow = new TestNetwork(documentOf('{ egress: 64kbit }'), 'h1');
  expect([...slow.compiled.objects.meters.values()]).toEqual([
    { number: 1, rate: 8000, burst: 131_072 },
  ]);
  const faster = new TestNetwork(documentOf('{ egress: 1mbit }'), 'h1');
  expect([...faster.compiled.rules.keys()]).toEqual([...slow.compiled.rules.keys()]);
  expect(faster.verdict(packet(1, 2))).toBe(slow.verdict(packet(1, 2)));
});

test('a denied packet costs nothing', () => {
  const network = new TestNetwork(documentOf('{ egress: 1mbit }'), 'h1');
  const spoofed = packet(1, 2).replace('ip_src=10.0.0.1', 'ip_src=10.0.0.9');
  expect(network.verdict(spoofed)).not.toContain('meter');
});
