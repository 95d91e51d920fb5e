// rules/objects.ts — what the data path must have besides flows: ports, tunnels, groups, networks.
//
// Plain data by name, ready to be compared with what is installed. A group's members change in
// place, so that a new port or VTEP touches no flow.

import type { Encap, PortMode } from '../model/document.ts';
import type { Topology } from './topology.ts';

export interface PortObject {
  readonly number: number;
  readonly device: string;
  readonly mode: PortMode;
}

export interface TunnelObject {
  readonly number: number;
  readonly encap: Encap;
  readonly local: string;
  readonly remote: string;
}

export interface GroupMemberObject {
  readonly kind: 'port' | 'tunnel';
  readonly number: number;
  /** Tag that is pushed for a logical port of a trunk; 0: none. */
  readonly vlan: number;
}

export interface GroupObject {
  readonly number: number;
  readonly members: readonly GroupMemberObject[];
}

export interface NetworkObject {
  readonly vni: number;
  readonly encap: Encap;
}

/** Objects of the data path by name; names are those of rules/numbering.ts. */
export interface DatapathObjects {
  /** By device. */
  readonly ports: ReadonlyMap<string, PortObject>;
  /** By "host/encap". */
  readonly tunnels: ReadonlyMap<string, TunnelObject>;
  /** By "network/all" and "network/local". */
  readonly groups: ReadonlyMap<string, GroupObject>;
  /** By network. */
  readonly networks: ReadonlyMap<string, NetworkObject>;
  /** Addresses at which this host receives tunnel packets. */
  readonly endpoints: readonly string[];
}

export function objectsOf(topology: Topology): DatapathObjects {
  const ports = new Map<string, PortObject>();
  const groups = new Map<string, GroupObject>();
  const networks = new Map<string, NetworkObject>();
  const local = topology.host.tunnelIp;
  for (const network of topology.networks) {
    const { name, encap } = network.network;
    const members: GroupMemberObject[] = [];
    for (const { port, device } of network.localPorts) {
      if (port.device === undefined) continue;
      members.push({ kind: 'port', number: device, vlan: port.vlan ?? 0 });
      // The logical ports of a trunk share the device; the first one's mode holds.
      if (!ports.has(port.device)) {
        ports.set(port.device, { number: device, device: port.device, mode: port.mode });
      }
    }
    groups.set(`${name}/local`, { number: network.groupLocal, members });
    const remote = network.tunnels.map(
      ({ number }): GroupMemberObject => ({ kind: 'tunnel', number, vlan: 0 }),
    );
    groups.set(`${name}/all`, { number: network.groupAll, members: [...members, ...remote] });
    networks.set(name, { vni: network.vni, encap });
  }
  const tunnels = new Map(
    topology.tunnels.map(({ name, number, encap, host }) => [
      name,
      { number, encap, local, remote: host.tunnelIp },
    ]),
  );
  return { ports, tunnels, groups, networks, endpoints: [local] };
}
