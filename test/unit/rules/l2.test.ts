// rules/l2.test.ts — what becomes of packets between ports, VTEPs and everyone.

import { describe, expect, test } from 'vitest';
import { decodeActions } from '../../../src/flow/actions.ts';
import { documentOf, example, TestNetwork } from './network.ts';

const two = new TestNetwork(example('two-hosts.yaml'), 'h1');
const ip = (to: string) => `eth_type=ip,ip_src=10.0.0.1,ip_dst=${to},ip_proto=tcp,tp_dst=80`;
const blue1 = 'in_port=blue1,eth_src=02:00:00:00:01:01';

describe('unicast', () => {
  test('to a port on another host goes by its tunnel, held to the MTU first', () => {
    const packet = `${blue1},eth_dst=02:00:00:00:01:02,${ip('10.0.0.2')}`;
    expect(two.verdict(packet)).toBe('enforce_mtu(1450),output_tunnel(h2/vxlan,vni=100)');
    expect(two.megaflow(packet)).toBe(
      'in_port=blue1,tunnel_id=0,eth_type=0x0800,vlan_tci=0x0000,vlan_tci2=0x0000,' +
        'eth_dst=02:00:00:00:01:02,eth_src=02:00:00:00:01:01,ip_src=10.0.0.1',
    );
  });

  test('out of a tunnel goes to the port', () => {
    const packet =
      'in_port=uplink0,tunnel_id=100,tunnel_src=h2/vxlan,eth_src=02:00:00:00:01:02,' +
      'eth_dst=02:00:00:00:01:01,eth_type=ip,ip_src=10.0.0.2,ip_dst=10.0.0.1';
    expect(two.verdict(packet)).toBe('output(blue1)');
    expect(two.megaflow(packet)).toBe(
      'tunnel_id=100,tunnel_src=1,vlan_tci=0x0000,' +
        'eth_dst=02:00:00:00:01:01,eth_src=02:00:00:00:01:02',
    );
  });

  test("never crosses between networks, not even with the other one's MAC", () => {
    const packet = `${blue1},eth_dst=02:00:00:00:02:01,${ip('10.0.0.1')}`;
    expect(two.verdict(packet)).toBe('unknown_mac');
  });

  test('to oneself is dropped with same_port', () => {
    expect(two.verdict(`${blue1},eth_dst=02:00:00:00:01:01,${ip('10.0.0.1')}`)).toBe('same_port');
  });

  test('that came by a tunnel does not leave by one: from_tunnel_to_tunnel', () => {
    const tunnel = 'in_port=uplink0,tunnel_id=100,tunnel_src=h2/vxlan,eth_src=02:00:00:00:01:02';
    expect(two.verdict(`${tunnel},eth_dst=02:00:00:00:01:02,eth_type=ip`)).toBe(
      'from_tunnel_to_tunnel',
    );
  });

  test('to a port of this host that has no device is dropped with port_down', () => {
    const network = new TestNetwork(
      documentOf(`
networks: [{ name: n, vni: 7 }]
ports:
  - { name: a, network: n, mac: "02:00:00:00:00:0a", host: h1, device: a }
  - { name: b, network: n, mac: "02:00:00:00:00:0b", host: h1, device: b }
`),
      'h1',
    );
    const document = documentOf(`
networks: [{ name: n, vni: 7 }]
ports:
  - { name: a, network: n, mac: "02:00:00:00:00:0a", host: h1, device: a }
`);
    const bare = {
      ...document,
      ports: [
        ...document.ports,
        { ...document.ports[0]!, name: 'b', mac: '02:00:00:00:00:0b', device: undefined },
      ],
    };
    const packet = 'in_port=a,eth_src=02:00:00:00:00:0a,eth_dst=02:00:00:00:00:0b,eth_type=ip';
    expect(network.verdict(packet)).toBe('output(b)');
    expect(new TestNetwork(bare, 'h1').verdict(packet)).toBe('port_down');
  });
});

describe('broadcast and multicast', () => {
  test('from a port go to every port and VTEP of the network', () => {
    const packet = `${blue1},eth_dst=ff:ff:ff:ff:ff:ff,${ip('10.0.0.255')}`;
    expect(two.verdict(packet)).toBe('enforce_mtu(1450),output_group(blue/all,vni=100)');
    expect(two.compiled.objects.groups.get('blue/all')?.members).toEqual([
      { kind: 'port', number: two.numbering.find('devices', 'blue1'), vlan: 0, meter: 0 },
      { kind: 'tunnel', number: two.numbering.find('tunnels', 'h2/vxlan'), vlan: 0, meter: 0 },
    ]);
  });

  test('out of a tunnel go to local ports only', () => {
    const packet =
      'in_port=uplink0,tunnel_id=100,tunnel_src=h2/vxlan,eth_src=02:00:00:00:01:02,' +
      'eth_dst=33:33:00:00:00:01,eth_type=ipv6';
    expect(two.verdict(packet)).toBe('output_group(blue/local,vni=100)');
  });

  test('in a network that has no other host are not held to any MTU', () => {
    const network = new TestNetwork(
      documentOf(`
networks: [{ name: n, vni: 7 }]
ports: [{ name: a, network: n, mac: "02:00:00:00:00:0a", host: h1, device: a }]
`),
      'h1',
    );
    const packet = 'in_port=a,eth_src=02:00:00:00:00:0a,eth_dst=01:00:5e:00:00:01,eth_type=ip';
    expect(network.verdict(packet)).toBe('output_group(n/all,vni=7)');
  });
});

describe('a trunk', () => {
  const trunk = new TestNetwork(example('trunk.yaml'), 'h1');

  test('has its tag taken off on the way in and put on on the way out', () => {
    expect(
      trunk.verdict(
        'in_port=t1,vlan_vid=10,eth_src=02:00:00:00:01:0a,eth_dst=02:00:00:00:01:02,' +
          'eth_type=ip,ip_src=10.0.0.11',
      ),
    ).toBe('enforce_mtu(1430),pop_vlan,output_tunnel(h2/vxlan,vni=100)');
    expect(
      trunk.verdict(
        'in_port=uplink0,tunnel_id=200,tunnel_src=h2/vxlan,eth_src=02:00:00:00:02:02,' +
          'eth_dst=02:00:00:00:02:0a,eth_type=ip',
      ),
    ).toBe('push_vlan(20),output(t1)');
  });

  test('joins two of its VLANs when they are in one network', () => {
    expect(
      trunk.verdict(
        'in_port=t1,vlan_vid=10,eth_src=02:00:00:00:01:0a,eth_dst=02:00:00:00:01:00,' +
          'eth_type=ip,ip_src=10.0.0.11',
      ),
    ).toBe('pop_vlan,output(t1)');
    expect(
      trunk.verdict(
        'in_port=t1,eth_src=02:00:00:00:01:00,eth_dst=ff:ff:ff:ff:ff:ff,' +
          'eth_type=ip,ip_src=10.0.0.10',
      ),
    ).toBe('enforce_mtu(1430),output_group(blue/all,vni=100)');
  });
});

test('too-big answers come from the gateways of the network', () => {
  const tiers = new TestNetwork(example('three-tier.yaml'), 'h1');
  const out = tiers.walk(
    'in_port=web-1,eth_src=02:00:00:01:01:01,eth_dst=02:00:00:01:01:02,eth_type=ip,ip_src=10.1.1.1',
  );
  const [, mtu] = decodeActions(out.actions, 0, out.actionCount);
  const bytes = new Uint8Array(Uint32Array.from(mtu!.operands.slice(2)).buffer);
  expect(mtu?.operands[0]).toBe(1400);
  expect([...bytes.subarray(0, 4)]).toEqual([10, 1, 1, 254]);
  expect([...bytes.subarray(4, 6), bytes[19]]).toEqual([0xfd, 0, 0xfe]);
});

test('the MAC of an address pair goes to all of the network, since nobody says who has it', () => {
  const tiers = new TestNetwork(example('three-tier.yaml'), 'h1');
  expect(
    tiers.verdict(
      'in_port=web-1,eth_src=02:00:00:01:01:01,eth_dst=00:00:5e:00:01:01,' +
        'eth_type=ip,ip_src=10.1.1.1',
    ),
  ).toBe('meter(2),enforce_mtu(1400),output_group(web/remote,vni=1001)');
});
