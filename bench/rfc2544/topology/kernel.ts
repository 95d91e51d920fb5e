// bench/rfc2544/topology/kernel.ts — the kernel between the ends: bridges, vxlan, routing,
// nftables.
//
// Every host has a bridge for each network of a scenario, joined across hosts by vxlan; between
// subnets each host routes what its own end sends, as a distributed router does, with fixed
// neighbours. The firewall is nftables with connection tracking, which bridged frames pass too
// (br_netfilter); without `nft` there is none, and version() says so.

import { release } from 'node:os';
import type { Lab } from '../../../test/support/netns.ts';
import { kernelVtep } from '../../../test/support/peers/kernel-vxlan.ts';
import { lack } from '../../../test/support/requires.ts';
import type { Host } from '../../../test/support/topology.ts';
import type { Path, ScenarioName } from '../path.ts';
import { LabSystem } from './lab-system.ts';
import {
  hostsOf,
  type Layout,
  layOut,
  networks,
  pathOf,
  portsFrom,
  portsTo,
  type Seat,
  seatsOf,
} from './layout.ts';

const hasFirewall = () => lack('command:nft') === undefined;

const bridgeMac = (host: string, vni: number) =>
  `02:00:00:00:${host === 'h1' ? 'b1' : 'b2'}:${vni === networks.blue.vni ? '01' : '02'}`;

const ruleset = `
table inet generator {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ip saddr 10.0.0.0/16 ip daddr 10.0.0.0/16 udp dport ${portsFrom}-${portsTo} accept
  }
}
`;

export class KernelSystem extends LabSystem {
  readonly name = 'kernel-vxlan';
  protected readonly needs = ['vxlan', 'bridge'] as const;

  async version(): Promise<string> {
    const firewall = hasFirewall() ? 'with nftables' : 'no firewall: nft is not installed';
    return `Linux ${release()}, ${firewall}`;
  }

  protected async construct(lab: Lab, scenario: ScenarioName): Promise<Path> {
    const layout = await layOut(lab, scenario);
    for (const host of hostsOf(layout)) {
      await bridges(lab, layout, host);
      if (layout.routed) await router(lab, layout, host);
      await firewall(lab, host.ns);
    }
    const gatewayMac = ({ container, network }: Seat) =>
      bridgeMac(container.host, networks[network].vni);
    return pathOf(lab, layout, gatewayMac);
  }
}

async function bridges(lab: Lab, layout: Layout, host: Host): Promise<void> {
  const { hosts, routed, across } = layout;
  const other = host.ns === 'h1' ? hosts.h2 : hosts.h1;
  for (const { name, vni } of routed ? [networks.blue, networks.green] : [networks.blue]) {
    const seats = seatsOf(layout, host).filter(({ network }) => network === name);
    const { bridge } = await kernelVtep(lab, {
      ...{ ns: host.ns, device: host.device, local: host.ip, vni },
      ...{ remotes: across ? [other.ip] : [], ports: seats.map((seat) => seat.container.port) },
    });
    await lab.must(host.ns, 'ip', ['link', 'set', bridge, 'address', bridgeMac(host.ns, vni)]);
  }
}

async function router(lab: Lab, { left, right }: Layout, { ns }: Host): Promise<void> {
  await lab.must(ns, 'sysctl', ['-qw', 'net.ipv4.ip_forward=1']);
  for (const { container, ip, network } of [left, right]) {
    const { vni, gateway } = networks[network];
    const bridge = ['dev', `br${vni}`];
    await lab.must(ns, 'ip', ['address', 'add', `${gateway}/24`, ...bridge]);
    const neighbour = ['neighbour', 'replace', ip, 'lladdr', container.mac, ...bridge];
    await lab.must(ns, 'ip', [...neighbour, 'nud', 'permanent']);
  }
}

async function firewall(lab: Lab, ns: string): Promise<void> {
  const on = hasFirewall();
  // Not there in kernels without br_netfilter, whose bridges pass no firewall.
  await lab.exec(ns, 'sysctl', ['-qw', `net.bridge.bridge-nf-call-iptables=${on ? 1 : 0}`]);
  if (on) await lab.must(ns, 'nft', ['-f', '-'], { input: ruleset });
}
