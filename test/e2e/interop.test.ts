// e2e/interop.test.ts — vtepd with a VTEP of another make at the other end, judged by tshark.

import { expect, it } from 'vitest';
import { formatMac } from '../../src/lib/addresses.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { readFrames } from '../support/pcap.ts';
import { kernelVtep } from '../support/peers/kernel-vxlan.ts';
import { ovsVtep } from '../support/peers/ovs.ts';
import { describeWith } from '../support/requires.ts';
import { type TwoHosts, twoHosts, type Underlay } from '../support/topology.ts';
import { datagrams, ping, transfer } from '../support/traffic.ts';
import { expectNoExpertErrors } from '../support/tshark.ts';
import { Vtepd } from '../support/vtepd.ts';

const underlays: Underlay[] = ['ipv4', 'ipv6'];
const encaps = ['vxlan', 'geneve'] as const;
type Encap = (typeof encaps)[number];

interface Choice {
  readonly encap: Encap;
  /** True: the network learns. False: the far container is in the document. */
  readonly learning: boolean;
}

/** h1 is vtepd, h2 a peer that runs something else. */
function documentFor({ hosts, containers }: TwoHosts, { encap, learning }: Choice): string {
  const { c1, c2 } = containers;
  const port = (one: typeof c1, where: string) =>
    `  - { name: ${one.ns}, network: blue, mac: "${one.mac}", ${where},\n` +
    `      ips: [${one.ip}, "${one.ip6}"] }`;
  return [
    'hosts:',
    `  - { name: h1, tunnelIp: "${hosts.h1.ip}" }`,
    `  - { name: h2, tunnelIp: "${hosts.h2.ip}", kind: peer, networks: [blue] }`,
    'networks:',
    `  - { name: blue, vni: 100, encap: ${encap}, mtu: 1500, learning: ${learning} }`,
    'ports:',
    port(c1, 'host: h1, device: p1'),
    ...(learning ? [] : [port(c2, 'host: h2')]),
    '',
  ].join('\n');
}

async function startVtepd(lab: Lab, topology: TwoHosts, choice: Choice): Promise<Vtepd> {
  const h1 = new Vtepd(lab, 'h1');
  await h1.start();
  await h1.apply(documentFor(topology, choice));
  return h1;
}

/** Traffic of all sorts both ways; the underlay was recorded and is then read by tshark. */
async function expectInterop(lab: Lab, topology: TwoHosts): Promise<void> {
  const { c1, c2 } = topology.containers;
  const there = await ping(lab, 'c1', c2.ip, { count: 5 });
  expect(there.received, there.text).toBeGreaterThanOrEqual(4);
  const back = await ping(lab, 'c2', c1.ip);
  expect(back, back.text).toMatchObject({ received: 3, duplicates: 0 });
  expect((await ping(lab, 'c1', c2.ip6, { wait: 4 })).received).toBeGreaterThanOrEqual(2);
  const large = await ping(lab, 'c1', c2.ip, { size: 3000 });
  expect(large.received, large.text).toBe(3);
  for (const path of [
    { from: 'c1', to: 'c2', address: c2.ip },
    { from: 'c2', to: 'c1', address: c1.ip },
  ]) {
    expect(await transfer(lab, path, { bytes: 4 << 20 })).toMatchObject({ ok: true });
    const counted = await datagrams(lab, path, { size: 1400, count: 200 });
    expect(counted).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
  }
  await expectOursInOrder(lab, topology);
}

/**
 * What h1 sent, without what h2 sent: the kernel beside Open vSwitch answers with ICMP errors that
 * quote cut packets, and segments with TCP checksums of 0xffff, both of which tshark finds odd.
 */
async function expectOursInOrder(lab: Lab, { hosts }: TwoHosts): Promise<void> {
  const ours = readFrames(lab.path('underlay.pcap')).filter(
    (bytes) => formatMac(bytes.subarray(6, 12)) === hosts.h1.mac,
  );
  expect(ours.length).toBeGreaterThan(100);
  await expectNoExpertErrors(ours);
}

describeWith(['root', 'vxlan', 'bridge', 'command:tshark'], "the kernel's vxlan device", () => {
  const useWorld = useLab();
  for (const underlay of underlays) {
    for (const learning of [false, true]) {
      it(`talks with vtepd over ${underlay}, ${learning ? 'learned' : 'declared'}`, async () => {
        const lab = useWorld();
        const topology = await twoHosts(lab, {
          encapUnderlay: underlay,
          containers: ['c1', 'c2'],
          wire: 'tap',
          record: lab.path('underlay.pcap'),
        });
        const { hosts } = topology;
        const kernel = { ns: 'h2', device: 'u2', local: hosts.h2.ip, remotes: [hosts.h1.ip] };
        await kernelVtep(lab, { ...kernel, vni: 100, ports: ['p2'] });
        const h1 = await startVtepd(lab, topology, { encap: 'vxlan', learning });
        await expectInterop(lab, topology);
        h1.expectQuietLog();
      });
    }
  }
});

const ovsNeeds = ['root', 'tun', 'command:ovs-vswitchd', 'command:tshark'] as const;
describeWith([...ovsNeeds], 'Open vSwitch (userspace)', () => {
  const useWorld = useLab();
  for (const encap of encaps) {
    for (const underlay of underlays) {
      it(`talks ${encap} with vtepd over ${underlay}`, async () => {
        const lab = useWorld();
        const topology = await twoHosts(lab, {
          encapUnderlay: underlay,
          containers: ['c1'],
          wire: 'tap',
          record: lab.path('underlay.pcap'),
        });
        const { hosts, containers } = topology;
        await lab.namespace('c2');
        const tunnels = [{ type: encap, remote: hosts.h1.ip, vni: 100 }];
        await ovsVtep(lab, { host: hosts.h2, containers: [containers.c2], tunnels });
        const h1 = await startVtepd(lab, topology, { encap, learning: false });
        await expectInterop(lab, topology);
        h1.expectQuietLog();
      });
    }
  }
});
