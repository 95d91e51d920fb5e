// bench/rfc2544/topology/layout.ts — the paper's four scenarios in namespaces, without a switch
// yet.
//
//   left (c1) eth0 ── p1 ┐                                ┌ p2 ── eth0 right (c2)
//                        h1  u1 ═══ underlay veth ═══ u2  h2
//   right (c3) eth0 ─ p3 ┘                                  across hosts
//      same host
//
// In one subnet both ends are in network blue (VNI 100, 10.0.0.0/24); in different subnets the
// right one is in green (VNI 200, 10.0.2.0/24) and .254 is the gateway of each. What every system
// has to do is the same: carry the generator's UDP, of the peer only, statefully, and nothing else.

import type { Lab } from '../../../test/support/netns.ts';
import { type Container, type Host, twoHosts } from '../../../test/support/topology.ts';
import type { End, Path, ScenarioName } from '../path.ts';

/** UDP destination ports of the generator (bench/native/trial_frames.h). */
export const portsFrom = 49184;
export const portsTo = 49203;

export const networks = {
  blue: { name: 'blue', vni: 100, prefix: '10.0.0', gateway: '10.0.0.254' },
  green: { name: 'green', vni: 200, prefix: '10.0.2', gateway: '10.0.2.254' },
} as const;
export type NetworkName = keyof typeof networks;

/** An end, and where it is plugged in. */
export interface Seat {
  readonly container: Container;
  readonly ip: string;
  readonly network: NetworkName;
}

export interface Layout {
  readonly hosts: { readonly h1: Host; readonly h2: Host };
  readonly left: Seat;
  readonly right: Seat;
  readonly routed: boolean;
  readonly across: boolean;
}

/** Builds hosts and containers; the lab removes them. */
export async function layOut(lab: Lab, scenario: ScenarioName): Promise<Layout> {
  const across = scenario.startsWith('across-hosts');
  const routed = scenario.endsWith('different-subnets');
  const name = across ? 'c2' : 'c3';
  const { hosts, containers } = await twoHosts(lab, { containers: ['c1', name] });
  const left: Seat = { container: containers.c1, ip: containers.c1.ip, network: 'blue' };
  const container = containers[name];
  const ip = routed ? `${networks.green.prefix}.${name.slice(1)}` : container.ip;
  const right: Seat = { container, ip, network: routed ? 'green' : 'blue' };
  if (routed) await move(lab, right);
  for (const seat of routed ? [left, right] : []) {
    const { gateway } = networks[seat.network];
    await lab.must(seat.container.ns, 'ip', ['route', 'add', 'default', 'via', gateway]);
  }
  return { hosts, left, right, routed, across };
}

/** Gives a container its address in its other network. */
async function move(lab: Lab, { container, ip }: Seat): Promise<void> {
  const { ns, prefix } = container;
  await lab.must(ns, 'ip', ['-4', 'address', 'flush', 'dev', 'eth0']);
  await lab.must(ns, 'ip', ['address', 'add', `${ip}/${prefix}`, 'dev', 'eth0']);
}

/** Hosts that have an end. */
export function hostsOf({ hosts, across }: Layout): Host[] {
  return across ? [hosts.h1, hosts.h2] : [hosts.h1];
}

export function seatsOf(layout: Layout, host: Host): Seat[] {
  return [layout.left, layout.right].filter(({ container }) => container.host === host.ns);
}

/** The ends of a layout; in different subnets `gatewayMac` says what each end knows its own by. */
export function pathOf(lab: Lab, layout: Layout, gatewayMac: (seat: Seat) => string): Path {
  const { left, right, routed } = layout;
  const end = (seat: Seat, other: Seat): End => ({
    namespace: lab.realName(seat.container.ns),
    device: 'eth0',
    mac: seat.container.mac,
    ip: seat.ip,
    nextHopMac: routed ? gatewayMac(seat) : other.container.mac,
  });
  return { ends: [end(left, right), end(right, left)] };
}
