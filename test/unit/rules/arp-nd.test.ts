// rules/arp-nd.test.ts — questions that the model answers, that are flooded, that end here.

import { describe, expect, test } from 'vitest';
import { example, TestNetwork } from './network.ts';

const two = new TestNetwork(example('two-hosts.yaml'), 'h1');
const tiers = new TestNetwork(example('three-tier.yaml'), 'h1');
const trunk = new TestNetwork(example('trunk.yaml'), 'h1');

const request = (target: string, dst = 'ff:ff:ff:ff:ff:ff') =>
  `in_port=blue1,eth_src=02:00:00:00:01:01,eth_dst=${dst},eth_type=arp,ip_proto=1,` +
  `arp_sha=02:00:00:00:01:01,ip_src=10.0.0.1,ip_dst=${target}`;

describe('an ARP request', () => {
  test('for a known address is answered back to the port that asked', () => {
    expect(two.verdict(request('10.0.0.2'))).toBe('arp_reply(02:00:00:00:01:02),output(blue1)');
  });

  test('is answered within its network only, though both use the address', () => {
    const red = request('10.0.0.2')
      .replace('blue1', 'red1')
      .replaceAll('02:00:00:00:01:01', '02:00:00:00:02:01');
    expect(two.verdict(red)).toBe('arp_reply(02:00:00:00:02:02),output(red1)');
  });

  test('for an address that nobody has is unknown_neighbour', () => {
    expect(two.verdict(request('10.0.0.77'))).toBe('unknown_neighbour');
  });

  test('sent to the neighbour itself reaches it', () => {
    expect(two.verdict(request('10.0.0.2', '02:00:00:00:01:02'))).toBe(
      'enforce_mtu(1450),output_tunnel(h2/vxlan,vni=100)',
    );
  });

  test('for the own address is an announcement and goes to everyone', () => {
    expect(two.verdict(request('10.0.0.1'))).toContain('output_group(blue/all');
    const probe = request('10.0.0.1').replace('ip_src=10.0.0.1', 'ip_src=0.0.0.0');
    expect(two.verdict(probe)).toContain('output_group(blue/all');
  });

  test('out of a tunnel goes to the ports, which answer themselves', () => {
    const packet =
      'in_port=uplink0,tunnel_id=100,tunnel_src=h2/vxlan,eth_src=02:00:00:00:01:02,' +
      'eth_dst=ff:ff:ff:ff:ff:ff,eth_type=arp,ip_proto=1,ip_src=10.0.0.2,ip_dst=10.0.0.1';
    expect(two.verdict(packet)).toBe('output_group(blue/local,vni=100)');
  });

  test('for an address of a pair is flooded: whoever holds it answers', () => {
    const packet =
      'in_port=web-1,eth_src=02:00:00:01:01:01,eth_dst=ff:ff:ff:ff:ff:ff,eth_type=arp,ip_proto=1,' +
      'arp_sha=02:00:00:01:01:01,ip_src=10.1.1.1,ip_dst=10.1.1.100';
    expect(tiers.verdict(packet)).toContain('output_group(web/all');
  });

  test('on a trunk is answered in the VLAN that it came from', () => {
    const packet =
      'in_port=t1,vlan_vid=10,eth_src=02:00:00:00:01:0a,eth_dst=ff:ff:ff:ff:ff:ff,eth_type=arp,' +
      'ip_proto=1,arp_sha=02:00:00:00:01:0a,ip_src=10.0.0.11,ip_dst=10.0.0.2';
    expect(trunk.verdict(packet)).toBe('arp_reply(02:00:00:00:01:02),output(t1)');
  });

  test('in a network that learns is answered if known, else flooded', () => {
    const packet = (target: string) =>
      'in_port=t1,vlan_vid=30,eth_src=02:77:00:00:00:01,eth_dst=ff:ff:ff:ff:ff:ff,eth_type=arp,' +
      `ip_proto=1,arp_sha=02:77:00:00:00:01,ip_src=192.168.7.1,ip_dst=${target}`;
    expect(trunk.verdict(packet('192.168.7.9'))).toBe('arp_reply(00:00:5e:00:53:01),output(t1)');
    expect(trunk.verdict(packet('192.168.7.10'))).toContain('output_group(lab/all');
  });
});

describe('a neighbour solicitation', () => {
  const solicit = (target: string, source = 'fd00:1:1::1') =>
    'in_port=web-1,eth_src=02:00:00:01:01:01,eth_dst=33:33:ff:00:00:02,eth_type=ipv6,' +
    `ip_proto=icmpv6,tp_src=135,ipv6_src=${source},nd_target=${target},arp_sha=02:00:00:01:01:01`;

  test('for a known address, or the link-local of a known MAC, is answered', () => {
    const answer = 'meter(2),nd_reply(02:00:00:01:01:02),output(web-1)';
    expect(tiers.verdict(solicit('fd00:1:1::2'))).toBe(answer);
    expect(tiers.verdict(solicit('fe80::ff:fe01:102'))).toBe(answer);
  });

  test('for an address that nobody has is unknown_neighbour', () => {
    expect(tiers.verdict(solicit('fd00:1:1::77'))).toBe('unknown_neighbour');
  });

  test('that looks for a duplicate of the own address is flooded', () => {
    expect(tiers.verdict(solicit('fd00:1:1::1', '::'))).toContain('output_group(web/all');
  });
});
