// e2e/peers.test.ts — the peers alone and with each other: what later fails against vtepd is then
// not their fault.

import { expect, test } from 'vitest';
import { type Lab, useLab } from '../support/netns.ts';
import { kernelVtep, learnedRemote } from '../support/peers/kernel-vxlan.ts';
import { ovsVtep } from '../support/peers/ovs.ts';
import { describeWith } from '../support/requires.ts';
import { type TwoHosts, twoHosts, type Underlay } from '../support/topology.ts';
import { ping, transfer } from '../support/traffic.ts';

const lab = useLab();
const underlays: Underlay[] = ['ipv4', 'ipv6'];

function kernelAt(one: Lab, net: TwoHosts, ns: 'h1' | 'h2', learning = true) {
  const [host, remote] = ns === 'h1' ? [net.hosts.h1, net.hosts.h2] : [net.hosts.h2, net.hosts.h1];
  const far = ns === 'h1' ? net.containers.c2 : net.containers.c1;
  return kernelVtep(one, {
    ...{ ns, device: host.device, local: host.ip, vni: 100, remotes: [remote.ip], learning },
    fdb: learning ? [] : [{ mac: far.mac, remote: remote.ip }],
    ports: [ns === 'h1' ? 'p1' : 'p2'],
  });
}

function ovsAt(one: Lab, net: TwoHosts, ns: 'h1' | 'h2', type: 'vxlan' | 'geneve') {
  const [host, remote] = ns === 'h1' ? [net.hosts.h1, net.hosts.h2] : [net.hosts.h2, net.hosts.h1];
  const container = ns === 'h1' ? net.containers.c1 : net.containers.c2;
  const tunnels = [{ type, remote: remote.ip, vni: 100 }];
  return ovsVtep(one, { host, containers: [container], tunnels });
}

async function expectTraffic(one: Lab, net: TwoHosts) {
  const { c2 } = net.containers;
  const result = await ping(one, 'c1', c2.ip, { count: 3, wait: 5 });
  expect(result.received, result.text).toBeGreaterThanOrEqual(2);
  expect((await ping(one, 'c1', c2.ip6, { count: 1, wait: 5 })).received).toBe(1);
  const full = await ping(one, 'c1', c2.ip, { size: 1472, df: true });
  expect(full.received, full.text).toBe(3);
  const path = { from: 'c1', to: 'c2', address: c2.ip };
  expect(await transfer(one, path, { bytes: 4 << 20 })).toMatchObject({ ok: true });
  const back = { from: 'c2', to: 'c1', address: net.containers.c1.ip };
  expect(await transfer(one, back, { bytes: 4 << 20 })).toMatchObject({ ok: true });
}

describeWith(['root', 'vxlan', 'bridge', 'veth', 'command:ping'], 'the kernel as a VTEP', () => {
  test.each(underlays)('reaches another kernel over %s and learns', async (encapUnderlay) => {
    const net = await twoHosts(lab(), { encapUnderlay, containers: ['c1', 'c2'] });
    const { vxlan } = await kernelAt(lab(), net, 'h1');
    await kernelAt(lab(), net, 'h2');
    await expectTraffic(lab(), net);
    expect(await learnedRemote(lab(), 'h1', vxlan, net.containers.c2.mac)).toBe(net.hosts.h2.ip);
  });

  test('reaches another kernel by static entries alone', async () => {
    const net = await twoHosts(lab(), { containers: ['c1', 'c2'] });
    await kernelAt(lab(), net, 'h1', false);
    await kernelAt(lab(), net, 'h2', false);
    await expectTraffic(lab(), net);
  });
});

const ovsNeeds = ['root', 'tun', 'veth', 'command:ovs-vswitchd', 'command:ovs-vsctl'] as const;

describeWith([...ovsNeeds], 'Open vSwitch as a VTEP', () => {
  const options = { attach: 'tap', containers: ['c1', 'c2'] } as const;

  test.each(underlays)('reaches another Open vSwitch by Geneve over %s', async (encapUnderlay) => {
    const net = await twoHosts(lab(), { ...options, containers: ['c1', 'c2'], encapUnderlay });
    await ovsAt(lab(), net, 'h1', 'geneve');
    await ovsAt(lab(), net, 'h2', 'geneve');
    await expectTraffic(lab(), net);
  });

  test.each(underlays)('reaches the kernel by VXLAN over %s', async (encapUnderlay) => {
    const wire = { wire: 'tap', attach: 'tap' } as const;
    const net = await twoHosts(lab(), { ...wire, containers: ['c1'], encapUnderlay });
    const { c2 } = net.containers;
    await lab().namespace('c2');
    await lab().veth(
      { ns: 'c2', name: 'eth0', mac: c2.mac, ip: [`${c2.ip}/24`, `${c2.ip6}/64`] },
      { ns: 'h2', name: 'p2' },
    );
    await ovsAt(lab(), net, 'h1', 'vxlan');
    await kernelAt(lab(), net, 'h2');
    await expectTraffic(lab(), net);
  });
});
