// rules/classify.test.ts — which frames belong to which network, and which to none.

import { describe, expect, test } from 'vitest';
import { documentOf, example, TestNetwork } from './network.ts';

const two = new TestNetwork(example('two-hosts.yaml'), 'h1');
const trunk = new TestNetwork(example('trunk.yaml'), 'h1');
const flood = 'eth_dst=ff:ff:ff:ff:ff:ff';

describe('a local port', () => {
  test.each([
    ['an unknown device', 'in_port=900,eth_type=ip'],
    ['a tag on an access port', 'in_port=blue1,vlan_vid=5,eth_src=02:00:00:00:01:01,eth_type=ip'],
    ['two tags', 'in_port=blue1,vlan_vid=0,vlan_tci2=0x1005,eth_src=02:00:00:00:01:01'],
  ])('%s is unknown_port', (_, packet) => {
    expect(two.verdict(packet)).toBe('unknown_port');
  });

  test('an unknown port costs no look at addresses, so that a scan makes one flow', () => {
    expect(two.megaflow('in_port=900,eth_type=ip,eth_src=02:00:00:00:00:77')).toBe(
      'in_port=900,tunnel_id=0,vlan_tci=0x0000,vlan_tci2=0x0000',
    );
  });

  test('an access port takes priority-tagged frames and takes the tag off', () => {
    const packet =
      `in_port=blue1,vlan_vid=0,eth_src=02:00:00:00:01:01,${flood},` +
      'eth_type=ip,ip_src=10.0.0.1';
    expect(two.verdict(packet)).toBe('enforce_mtu(1450),pop_vlan,output_group(blue/all,vni=100)');
  });

  test('each VLAN of a trunk is a port of its own, and other VLANs are nobody', () => {
    const packet = (vlan: number, mac: string) =>
      `in_port=t1,vlan_vid=${vlan},eth_src=${mac},${flood},eth_type=ip,ip_src=10.0.0.11`;
    expect(trunk.verdict(packet(10, '02:00:00:00:01:0a'))).toContain('blue/all');
    expect(trunk.verdict(packet(20, '02:00:00:00:02:0a'))).toContain('red/all');
    expect(trunk.verdict(packet(20, '02:00:00:00:01:0a'))).toBe('spoofed_mac');
    expect(trunk.verdict(packet(11, '02:00:00:00:01:0a'))).toBe('unknown_port');
  });
});

describe('frames that no switch forwards', () => {
  test.each([
    ['a group address as source', 'eth_src=03:00:00:00:00:01', 'bad_source_mac'],
    ['broadcast as source', 'eth_src=ff:ff:ff:ff:ff:ff', 'bad_source_mac'],
    ['zero as source', 'eth_src=00:00:00:00:00:00', 'bad_source_mac'],
    ['STP', 'eth_src=02:00:00:00:01:01,eth_dst=01:80:c2:00:00:00', 'reserved_mac'],
    ['LLDP', 'eth_src=02:00:00:00:01:01,eth_dst=01:80:c2:00:00:0e', 'reserved_mac'],
  ])('%s: ends by its name', (_, packet, reason) => {
    expect(two.verdict(`in_port=blue1,${packet}`)).toBe(reason);
  });

  test('the addresses behind the reserved ones are multicast like others', () => {
    const packet =
      'in_port=blue1,eth_src=02:00:00:00:01:01,eth_dst=01:80:c2:00:00:10,eth_type=0x9999';
    expect(two.verdict(packet)).toContain('blue/all');
  });
});

describe('a tunnel packet', () => {
  const tunnel = (vni: number, rest: string) => `in_port=uplink0,tunnel_id=${vni},${rest}`;
  const from = 'tunnel_src=h2/vxlan';

  test('of a VNI without a port here is unknown_vni', () => {
    expect(two.verdict(tunnel(999, `${from},eth_src=02:00:00:00:01:02`))).toBe('unknown_vni');
  });

  test('from a VTEP or with a source that the model has elsewhere is wrong_network_vtep', () => {
    const good = `eth_src=02:00:00:00:01:02,${flood},eth_type=ip`;
    expect(two.verdict(tunnel(100, `${from},${good}`))).toContain('blue/local');
    expect(two.verdict(tunnel(100, `tunnel_src=77,${good}`))).toBe('wrong_network_vtep');
    expect(two.verdict(tunnel(100, `${from},eth_src=02:00:00:00:02:02,${flood}`))).toBe(
      'wrong_network_vtep',
    );
    expect(two.verdict(tunnel(100, `${from},eth_src=02:00:00:00:01:01,${flood}`))).toBe(
      'wrong_network_vtep',
    );
  });

  test('with a tag inside is unknown_port', () => {
    const packet = `${from},vlan_vid=5,eth_src=02:00:00:00:01:02,${flood}`;
    expect(two.verdict(tunnel(100, packet))).toBe('unknown_port');
  });

  test('may carry any source when a port of its host has no port security', () => {
    const network = new TestNetwork(
      documentOf(`
networks: [{ name: n, vni: 7 }]
ports:
  - { name: a, network: n, mac: "02:00:00:00:00:0a", host: h1, device: a }
  - { name: b, network: n, mac: "02:00:00:00:00:0b", host: h2, device: b, portSecurity: false }
`),
      'h1',
    );
    expect(network.verdict(tunnel(7, `${from},eth_src=02:99:00:00:00:01,${flood}`))).toContain(
      'n/local',
    );
  });

  test('is known by the address of its VTEP when that has tunnels of both kinds', () => {
    const network = new TestNetwork(
      documentOf(`
networks: [{ name: v, vni: 7 }, { name: g, vni: 8, encap: geneve }]
ports:
  - { name: a, network: v, mac: "02:00:00:00:00:0a", host: h1, device: a }
  - { name: b, network: v, mac: "02:00:00:00:00:0b", host: h2, device: b }
  - { name: c, network: g, mac: "02:00:00:00:00:0c", host: h1, device: c }
  - { name: d, network: g, mac: "02:00:00:00:00:0d", host: h2, device: d }
`),
      'h1',
    );
    for (const name of ['h2/vxlan', 'h2/geneve']) {
      const inner = `tunnel_src=${name},eth_src=02:00:00:00:00:0b,eth_dst=02:00:00:00:00:0a`;
      expect(network.verdict(tunnel(7, inner))).toBe('output(a)');
    }
  });
});
