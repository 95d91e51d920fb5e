// rules/routing.test.ts — packets to a gateway: where the router sends them, and where not.

import { describe, expect, test } from 'vitest';
import { documentOf, TestNetwork } from './network.ts';

const gw = '0e:00:00:00:00:01';
const yaml = (routes = '') => `
networks: [{ name: blue, vni: 100 }, { name: green, vni: 200, mtu: 1400 }, { name: far, vni: 300 }]
subnets:
  - { name: blue4, network: blue, cidr: 10.0.1.0/24, gateway: 10.0.1.254 }
  - { name: blue6, network: blue, cidr: "fd00:1::/64", gateway: "fd00:1::fe" }
  - { name: green4, network: green, cidr: 10.0.2.0/24, gateway: 10.0.2.254 }
  - { name: green6, network: green, cidr: "fd00:2::/64", gateway: "fd00:2::fe" }
  - { name: far4, network: far, cidr: 10.0.3.0/24, gateway: 10.0.3.254 }
routers:
  - name: r1
    subnets: [blue4, blue6, green4, green6, far4]
    mac: "${gw}"
    routes: [${routes}]
ports:
  - { name: b1, network: blue, mac: "02:00:00:00:01:01", ips: [10.0.1.1, "fd00:1::1"],
      host: h1, device: b1 }
  - { name: b2, network: blue, mac: "02:00:00:00:01:02", ips: [10.0.1.2, "fd00:1::2"],
      host: h2, device: b2 }
  - { name: g1, network: green, mac: "02:00:00:00:02:01", ips: [10.0.2.1, "fd00:2::1"],
      host: h1, device: g1 }
  - { name: g2, network: green, mac: "02:00:00:00:02:02", ips: [10.0.2.2, "fd00:2::2"],
      host: h2, device: g2 }
  - { name: f2, network: far, mac: "02:00:00:00:03:02", ips: [10.0.3.2], host: h2, device: f2 }
`;

const network = (routes?: string, host = 'h1') => new TestNetwork(documentOf(yaml(routes)), host);
const b1 = `in_port=b1,eth_src=02:00:00:00:01:01,eth_dst=${gw}`;
const four = (dst: string) => `${b1},eth_type=ip,ip_src=10.0.1.1,ip_dst=${dst},ip_proto=17`;
const six = (dst: string) => `${b1},eth_type=ipv6,ipv6_src=fd00:1::1,ipv6_dst=${dst},ip_proto=17`;
const from = `dec_ttl,set_eth_src(${gw})`;

describe('a routed packet', () => {
  test('goes to a port of another subnet on this host', () => {
    const out = network().verdict(four('10.0.2.1'));
    expect(out).toBe(`${from},enforce_mtu(1400),set_eth_dst(02:00:00:00:02:01),output(g1)`);
    expect(network().verdict(six('fd00:2::1'))).toBe(out);
  });

  test('goes straight to the host of the receiver, in its network', () => {
    expect(network().verdict(four('10.0.2.2'))).toBe(
      `${from},enforce_mtu(1400),set_eth_dst(02:00:00:00:02:02),` +
        'enforce_mtu(1400),output_tunnel(h2/vxlan,vni=200)',
    );
  });

  test('reaches a network that has no port on this host', () => {
    expect(network().verdict(four('10.0.3.2'))).toBe(
      `${from},enforce_mtu(1450),set_eth_dst(02:00:00:00:03:02),` +
        'enforce_mtu(1450),output_tunnel(h2/vxlan,vni=300)',
    );
  });

  test('is taken from the tunnel of a host with a port of the router only, by its MAC', () => {
    const h2 = network('', 'h2');
    const routed =
      'in_port=uplink0,tunnel_id=300,tunnel_src=h1/vxlan,eth_dst=02:00:00:00:03:02,' +
      'eth_type=ip,ip_src=10.0.1.1,ip_dst=10.0.3.2';
    expect(h2.verdict(`${routed},eth_src=${gw}`)).toBe('output(f2)');
    expect(h2.verdict(`${routed},eth_src=02:00:00:00:01:01`)).toBe('wrong_network_vtep');
  });

  test('that nobody has, or no route leads to, ends by name', () => {
    expect(network().verdict(four('10.0.2.77'))).toBe('host_unreachable');
    expect(network().verdict(four('192.0.2.1'))).toBe('no_route');
    expect(network().verdict(six('fd00:9::1'))).toBe('no_route');
  });

  test('of link-local scope, to a group or to loopback goes nowhere', () => {
    const one = network('{ destination: 0.0.0.0/0, nextHops: [10.0.2.1] }');
    for (const dst of ['169.254.1.1', '127.0.0.1', '224.0.0.5', '255.255.255.255']) {
      expect(one.verdict(four(dst)), dst).toBe('no_route');
    }
    expect(one.verdict(four('1.1.1.1').replace('10.0.1.1', '169.254.0.1'))).toBe('spoofed_ip');
    expect(one.verdict(six('fe80::9'))).toBe('no_route');
  });
});

test('questions for the gateway are answered, unicast ones too', () => {
  const one = network();
  const arp = (dst: string, target: string) =>
    `in_port=b1,eth_src=02:00:00:00:01:01,eth_dst=${dst},eth_type=arp,ip_proto=1,` +
    `ip_src=10.0.1.1,ip_dst=${target},arp_sha=02:00:00:00:01:01`;
  expect(one.verdict(arp('ff:ff:ff:ff:ff:ff', '10.0.1.254'))).toBe(`arp_reply(${gw}),output(b1)`);
  expect(one.verdict(arp(gw, '10.0.1.254'))).toBe(`arp_reply(${gw}),output(b1)`);
  // The gateway of another subnet is no neighbour.
  expect(one.verdict(arp('ff:ff:ff:ff:ff:ff', '10.0.2.254'))).toBe('unknown_neighbour');
});

describe('static routes', () => {
  const hop = `${from},enforce_mtu(1400),set_eth_dst(02:00:00:00:02:01),output(g1)`;

  test('lead to the next hop, the longest prefix first', () => {
    const one = network(
      '{ destination: 0.0.0.0/0, nextHops: [10.0.2.1] },' +
        '{ destination: 192.0.2.0/24, nextHops: [10.0.1.2] }',
    );
    expect(one.verdict(four('198.51.100.1'))).toBe(hop);
    expect(one.verdict(four('192.0.2.1'))).toContain('set_eth_dst(02:00:00:00:01:02)');
    expect(one.verdict(four('10.0.3.2'))).toContain('set_eth_dst(02:00:00:00:03:02)');
  });

  test('without a living next hop lead nowhere, and hide no shorter one', () => {
    const one = network(
      '{ destination: 0.0.0.0/0, nextHops: [10.0.2.1] },' +
        '{ destination: 192.0.2.0/24, nextHops: [10.0.2.99] }',
    );
    expect(one.verdict(four('192.0.2.1'))).toBe('host_unreachable');
  });

  test('spread connections over their next hops', () => {
    const one = network('{ destination: 0.0.0.0/0, nextHops: [10.0.2.1, 10.0.2.2] }');
    const counts = new Map<string, number>();
    for (let port = 32768; port < 33280; port += 2) {
      const out = one.verdict(`${four('192.0.2.1')},tp_src=${port},tp_dst=80`);
      counts.set(out, (counts.get(out) ?? 0) + 1);
    }
    expect([...counts.keys()]).toHaveLength(2);
    expect(counts.get(hop)).toBeDefined();
    for (const count of counts.values()) expect(count).toBeGreaterThan(60);
    // All fragments of a datagram go one way.
    const fragment = (rest: string) => one.verdict(`${four('192.0.2.1')},${rest}`);
    const later = fragment('ip_frag=3');
    for (let port = 1; port < 20; port += 1) {
      expect(fragment(`ip_frag=1,tp_src=${port},tp_dst=9`)).toBe(later);
    }
  });
});
