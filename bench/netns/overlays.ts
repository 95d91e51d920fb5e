// bench/netns/overlays.ts — the systems between two containers: ours by AF_PACKET and AF_XDP, the
// kernel's vxlan, Open vSwitch by AF_XDP, and nothing at all.
//
// Each builds its two hosts in the lab, which takes them down again. The containers are c1 and c2
// with 10.0.0.1 and .2 on eth0; offloads stay as the kernel sets them, but for Open vSwitch, whose
// userspace datapath drops what a container left to its device to finish.

import type { Lab } from '../../test/support/netns.ts';
import { kernelVtep } from '../../test/support/peers/kernel-vxlan.ts';
import { ovsVtep } from '../../test/support/peers/ovs.ts';
import { mustRun } from '../../test/support/process.ts';
import { firstLack, type Need } from '../../test/support/requires.ts';
import { type TwoHosts, twoHosts } from '../../test/support/topology.ts';
import { startBoth } from '../../test/support/vtepd.ts';

export interface Overlay {
  readonly name: string;
  /** The reason why this machine cannot run it; undefined when it can. */
  readonly lack: () => string | undefined;
  readonly build: (lab: Lab) => Promise<void>;
  readonly version?: () => Promise<string>;
}

const vni = 100;
/** With two poll threads on one core, each would have half of it. */
const pollCpus = { h1: '0x1', h2: '0x2' };

const needs =
  (...list: Need[]) =>
  () =>
    firstLack(['root', 'veth', 'command:iperf3', 'command:ping', ...list]);

const hosts = (lab: Lab): Promise<TwoHosts> => twoHosts(lab, { containers: ['c1', 'c2'] });

const direct: Overlay = {
  name: 'direct',
  lack: needs(),
  build: async (lab) => {
    await lab.namespace('c1');
    await lab.namespace('c2');
    await lab.veth(
      { ns: 'c1', name: 'eth0', ip: '10.0.0.1/24' },
      { ns: 'c2', name: 'eth0', ip: '10.0.0.2/24' },
    );
  },
};

function vtepd(name: string, mode: 'af_packet' | 'af_xdp', ...list: Need[]): Overlay {
  return {
    name,
    lack: needs(...list),
    build: async (lab) => {
      const choice = { encap: 'vxlan', underlay: 'ipv4', tenants: false } as const;
      const topology = await hosts(lab);
      const { c1, c2 } = topology.containers;
      const two = { ...topology, containers: { c1, c2 } };
      await startBoth(lab, two, { ...choice, kind: { port: mode, uplink: mode } });
    },
  };
}

const kernel: Overlay = {
  name: 'kernel-vxlan',
  lack: needs('vxlan', 'bridge'),
  build: async (lab) => {
    const { hosts: both, containers } = await hosts(lab);
    for (const [own, remote, container] of [
      [both.h1, both.h2, containers.c1],
      [both.h2, both.h1, containers.c2],
    ] as const) {
      await kernelVtep(lab, {
        ...{ ns: own.ns, device: own.device, local: own.ip, vni },
        ...{ remotes: [remote.ip], ports: [container.port] },
      });
    }
  },
};

const ovs: Overlay = {
  name: 'ovs-af-xdp',
  lack: needs('xdp-native', 'command:ovs-vswitchd', 'command:ethtool'),
  build: async (lab) => {
    const { hosts: both, containers } = await hosts(lab);
    for (const [own, remote, container] of [
      [both.h1, both.h2, containers.c1],
      [both.h2, both.h1, containers.c2],
    ] as const) {
      await ovsVtep(lab, {
        ...{ host: own, containers: [], devices: [container.port], deviceType: 'afxdp' },
        ...{ pollCpuMask: pollCpus[own.ns], tunnels: [{ type: 'vxlan', remote: remote.ip, vni }] },
      });
      await lab.must(container.ns, 'ethtool', ['-K', 'eth0', 'tx', 'off']);
    }
  },
  version: async () => {
    const { stdout } = await mustRun('ovs-vswitchd', ['--version']);
    return /[\d.]+$/m.exec(stdout)?.[0] ?? 'unknown';
  },
};

export const overlays: readonly Overlay[] = [
  direct,
  vtepd('vtepd-af-packet', 'af_packet'),
  vtepd('vtepd-af-xdp', 'af_xdp', 'xdp-native'),
  kernel,
  ovs,
];
