// rules/learn.test.ts — networks that learn: what asks to be learned, what the model forbids.

import { describe, expect, test } from 'vitest';
import { dropReasonName } from '../../../src/flow/drop-reasons.ts';
import { parseMac } from '../../../src/lib/addresses.ts';
import { learnedRules, learnFullRule } from '../../../src/pipeline/learned.ts';
import { register } from '../../../src/pipeline/registers.ts';
import { example, TestNetwork } from './network.ts';

const trunk = () => new TestNetwork(example('trunk.yaml'), 'h1');
const lab = 'in_port=t1,vlan_vid=30,eth_type=ip';
const peer = 'in_port=uplink0,tunnel_id=300,tunnel_src=old-switch/vxlan,eth_type=ip';
const unknown = '02:77:00:00:00:01';

describe('a source', () => {
  test('that nobody knows asks to be learned, from a port and from a tunnel', () => {
    const network = trunk();
    expect(network.walk(`${lab},eth_src=${unknown}`).learn).toBe(true);
    expect(network.walk(`${peer},eth_src=${unknown}`).learn).toBe(true);
  });

  test('that the model knows there does not', () => {
    const network = trunk();
    expect(network.walk(`${lab},eth_src=02:00:00:00:03:0a`).learn).toBe(false);
    expect(network.walk(`${peer},eth_src=00:00:5e:00:53:01`).learn).toBe(false);
  });

  test('that the model knows elsewhere is wrong_network_vtep out of a tunnel', () => {
    expect(trunk().verdict(`${peer},eth_src=02:00:00:00:03:0a`)).toBe('wrong_network_vtep');
  });

  test('from a VTEP that takes no part in the network is wrong_network_vtep', () => {
    const packet = peer.replace('old-switch/vxlan', 'h2/vxlan');
    expect(trunk().verdict(`${packet},eth_src=${unknown}`)).toBe('wrong_network_vtep');
  });

  test('in a network that does not learn never asks', () => {
    const packet =
      'in_port=t1,eth_src=02:00:00:00:01:00,eth_dst=02:00:00:00:01:02,eth_type=ip,ip_src=10.0.0.10';
    expect(trunk().walk(packet).learn).toBe(false);
  });
});

describe('a destination', () => {
  test('that nobody knows is flooded, from a tunnel to local ports only', () => {
    const network = trunk();
    expect(network.verdict(`${lab},eth_src=02:00:00:00:03:0a,eth_dst=${unknown}`)).toBe(
      'enforce_mtu(1430),pop_vlan,output_group(lab/all,vni=300)',
    );
    expect(network.verdict(`${peer},eth_src=00:00:5e:00:53:01,eth_dst=${unknown}`)).toBe(
      'output_group(lab/local,vni=300)',
    );
  });

  test('that was learned is found, and its packets do not ask again', () => {
    const network = trunk();
    const location = network.walk(`${peer},eth_src=${unknown}`).key[register.source]!;
    const added = learnedRules({ vni: 300, mac: parseMac(unknown), location });
    network.pipeline.apply({ removed: [], added });
    expect(network.verdict(`${lab},eth_src=02:00:00:00:03:0a,eth_dst=${unknown}`)).toBe(
      'enforce_mtu(1430),pop_vlan,output_tunnel(old-switch/vxlan,vni=300)',
    );
    expect(network.walk(`${peer},eth_src=${unknown}`).learn).toBe(false);
    expect(network.walk(`${lab},eth_src=${unknown}`).learn).toBe(true);
  });
});

test('a location that is full drops new sources with learn_limit and no others', () => {
  const network = trunk();
  const location = network.walk(`${lab},eth_src=${unknown}`).key[register.source]!;
  network.pipeline.apply({ removed: [], added: [learnFullRule(300, location)] });
  const out = network.walk(`${lab},eth_src=${unknown}`);
  expect([dropReasonName(out.dropReason), out.learn]).toEqual(['learn_limit', false]);
  expect(network.walk(`${lab},eth_src=02:00:00:00:03:0a,eth_dst=${unknown}`).dropReason).toBe(0);
});
