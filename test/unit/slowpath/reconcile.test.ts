// slowpath/reconcile.test.ts — every flow that is found is kept, replaced, removed or expired.

import { expect, test } from 'vitest';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import { FlowChanges } from '../../../src/slowpath/flow-changes.ts';
import { FlowStore } from '../../../src/slowpath/flow-store.ts';
import { Learning } from '../../../src/slowpath/learning.ts';
import { reconcile } from '../../../src/slowpath/reconcile.ts';
import { idleMs, Revalidator } from '../../../src/slowpath/revalidate.ts';
import { example, TestNetwork } from '../rules/network.ts';
import { FakeDatapath } from './fake-datapath.ts';

const trunk = example('trunk.yaml');
const nowMs = () => 50_000;

/** Puts the flows of these packets into a datapath, as an earlier vtepd with this network would. */
function earlier(datapath: FakeDatapath, network: TestNetwork, packets: readonly string[]): void {
  const store = new FlowStore(datapath.flows);
  const out = new Translation();
  for (const packet of packets) {
    translate(network.pipeline, network.key(packet), 0, out);
    store.add(out, nowMs());
  }
}

function takeOver(datapath: FakeDatapath, network: TestNetwork, at = nowMs()) {
  const { pipeline } = network;
  const store = new FlowStore(datapath.flows);
  const changes = new FlowChanges(datapath, store);
  const revalidator = new Revalidator({ pipeline, store, changes, nowMs: () => at });
  const learning = new Learning(pipeline, {
    addressChanged: (mac) => revalidator.requestMac(mac),
    everythingChanged: () => revalidator.request(),
  });
  revalidator.learning = learning;
  learning.setNetworks(network.compiled.learning);
  return { result: reconcile({ pipeline, store, learning, revalidator }), learning, store };
}

test('flows of the same document are kept, those that came out otherwise replaced', () => {
  const network = new TestNetwork(trunk, 'h1');
  const vm = 'in_port=t1,eth_src=02:00:00:00:01:00,eth_type=ip,ip_src=10.0.0.10';
  const packets = [
    `${vm},eth_dst=02:00:00:00:01:02`,
    `${vm},eth_dst=ff:ff:ff:ff:ff:ff`,
    'in_port=t1,vlan_vid=20,eth_src=02:00:00:00:02:0a,eth_dst=02:00:00:00:02:02,' +
      'eth_type=ip,ip_src=10.0.0.11',
  ];
  const datapath = new FakeDatapath();
  earlier(datapath, network, packets);
  expect(takeOver(datapath, new TestNetwork(trunk, 'h1', network.numbering)).result).toEqual({
    kept: 3,
    replaced: 0,
    removed: 0,
    expired: 0,
  });
  const document = {
    ...trunk,
    networks: trunk.networks.map((entry) =>
      entry.name === 'blue' ? { ...entry, mtu: 1300 } : entry,
    ),
    ports: trunk.ports.map((port) =>
      port.name === 'vm-red' ? { ...port, portSecurity: false } : port,
    ),
  };
  const changed = takeOver(datapath, new TestNetwork(document, 'h1', network.numbering));
  // The flow of vm-red looks at less now; its successor is found from its masked key.
  expect(changed.result).toEqual({ kept: 0, replaced: 3, removed: 0, expired: 0 });
  expect(changed.store.size).toBe(3);
});

test('a flow from an address that nobody told of proves that it was learned', () => {
  const network = new TestNetwork(trunk, 'h1');
  const datapath = new FakeDatapath();
  earlier(datapath, network, [
    'in_port=uplink0,tunnel_id=300,tunnel_src=old-switch/vxlan,eth_src=02:77:00:00:00:01,' +
      'eth_dst=ff:ff:ff:ff:ff:ff',
  ]);
  const { learning, result } = takeOver(datapath, new TestNetwork(trunk, 'h1', network.numbering));
  expect([...learning.entries()].map(({ mac, usedMs }) => [mac[5], usedMs])).toEqual([[1, 50_000]]);
  expect(result).toEqual({ kept: 1, replaced: 0, removed: 0, expired: 0 });
});

test('a flow that was idle for too long is expired, and not removed as wrong', () => {
  const network = new TestNetwork(trunk, 'h1');
  const datapath = new FakeDatapath();
  earlier(datapath, network, [
    'in_port=t1,eth_src=02:00:00:00:01:00,eth_dst=02:00:00:00:01:02,eth_type=ip,ip_src=10.0.0.10',
  ]);
  const next = new TestNetwork(trunk, 'h1', network.numbering);
  const { result } = takeOver(datapath, next, nowMs() + idleMs + 1);
  expect(result).toEqual({ kept: 0, replaced: 0, removed: 0, expired: 1 });
});

test('nothing found is nothing done', () => {
  const { result } = takeOver(new FakeDatapath(), new TestNetwork(trunk, 'h1'));
  expect(result).toEqual({ kept: 0, replaced: 0, removed: 0, expired: 0 });
});
