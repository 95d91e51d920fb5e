// bench/rfc2544/topology/ovs.ts — Open vSwitch's userspace datapath between the ends, by AF_XDP.
//
// Flow rules do what vtepd's document does: connection tracking that commits the generator's UDP
// and lets in nothing else, output by MAC, and between subnets new MACs and a TTL one less.

import type { Lab } from '../../../test/support/netns.ts';
import { type Ovs, ovsVtep } from '../../../test/support/peers/ovs.ts';
import { mustRun } from '../../../test/support/process.ts';
import type { Host } from '../../../test/support/topology.ts';
import type { Path, ScenarioName } from '../path.ts';
import { LabSystem } from './lab-system.ts';
import { hostsOf, type Layout, layOut, networks, pathOf, portsFrom, seatsOf } from './layout.ts';

const gatewayMac = '0e:00:00:00:00:fe';
/** With two poll threads on one core, each would have half of it. */
const pollCpus = { h1: '0x1', h2: '0x2' };
/** 32 ports from the first one on: what a mask can say of them. */
const portsMask = '0xffe0';
const tables = { track: 0, judge: 1, route: 2, output: 3 };

export class OvsSystem extends LabSystem {
  readonly name = 'ovs-af-xdp';
  protected readonly needs = ['xdp-native', 'command:ovs-vswitchd'] as const;

  async version(): Promise<string> {
    const { stdout } = await mustRun('ovs-vswitchd', ['--version']);
    return /[\d.]+$/m.exec(stdout)?.[0] ?? 'unknown';
  }

  protected async construct(lab: Lab, scenario: ScenarioName): Promise<Path> {
    const layout = await layOut(lab, scenario);
    for (const host of hostsOf(layout)) {
      const remote = (host.ns === 'h1' ? layout.hosts.h2 : layout.hosts.h1).ip;
      const vni = networks[layout.right.network].vni;
      const ovs = await ovsVtep(lab, {
        ...{ host, containers: [], deviceType: 'afxdp', pollCpuMask: pollCpus[host.ns] },
        devices: seatsOf(layout, host).map(({ container }) => container.port),
        tunnels: layout.across ? [{ type: 'vxlan', remote, vni }] : [],
      });
      await addFlows(ovs, layout, host);
    }
    return pathOf(lab, layout, () => gatewayMac);
  }
}

async function addFlows(ovs: Ovs, layout: Layout, host: Host): Promise<void> {
  for (const flow of flowsOf(layout, host)) await ovs.ofctl('add-flow', 'br0', flow);
}

function flowsOf({ left, right, routed }: Layout, host: Host): string[] {
  const { track, judge, route, output } = tables;
  const seats = [left, right];
  const udp = `ip,udp,nw_src=10.0.0.0/16,nw_dst=10.0.0.0/16,tp_dst=${portsFrom}/${portsMask}`;
  const place = (seat: (typeof seats)[number]) =>
    seat.container.host === host.ns ? seat.container.port : 'vxlan';
  return [
    `table=${track},priority=1,ip,actions=ct(table=${judge},zone=1)`,
    `table=${track},priority=0,actions=drop`,
    `table=${judge},priority=2,ct_state=+trk+est,ip,actions=goto_table:${route}`,
    `table=${judge},priority=1,ct_state=+trk+new,${udp},` +
      `actions=ct(commit,zone=1),goto_table:${route}`,
    `table=${judge},priority=0,actions=drop`,
    ...(routed
      ? seats.map(({ container, ip }) => {
          const rewrite = `mod_dl_src:${gatewayMac},mod_dl_dst:${container.mac},dec_ttl`;
          const matched = `table=${route},priority=1,ip,dl_dst=${gatewayMac},nw_dst=${ip}`;
          return `${matched},actions=${rewrite},goto_table:${output}`;
        })
      : []),
    `table=${route},priority=0,actions=goto_table:${output}`,
    ...seats.map((seat) => {
      return `table=${output},dl_dst=${seat.container.mac},actions=output:${place(seat)}`;
    }),
  ];
}
