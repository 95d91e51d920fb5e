// rules/objects.ts — what the data path must have besides flows: ports, tunnels, groups, networks.
//
// Plain data by name, ready to be compared with what is installed. A group's members change in
// place, so that a new port or VTEP touches no flow.

import type { Encap, PortMode } from '../model/document.ts';
import { type MeterObject, meterObjects } from './qos.ts';
import type { PortView, Topology } from './topology.ts';

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
  /** Rate limit of the port's copies; 0: none. */
  readonly meter: number;
}

export interface GroupObject {
  readonly number: number;
  readonly members: readonly GroupMemberObject[];
}

/** Connection tracking zone of what comes in by a device (and VLAN), or by a VNI. */
export interface ZoneObject {
  /** Device port; 0: `vni` says it. */
  readonly port: number;
  /** VLAN of the device port; 0: none. */
  readonly vlan: number;
  readonly vni: number;
  readonly zone: number;
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
  /** By what comes in. */
  readonly zones: ReadonlyMap<string, ZoneObject>;
  /** Rate limits, by "port/ingress" and "port/egress". */
  readonly meters: ReadonlyMap<string, MeterObject>;
  /** Addresses at which this host receives tunnel packets. */
  readonly endpoints: readonly string[];
}

export function objectsOf(topology: Topology): DatapathObjects {
  const ports = new Map<string, PortObject>();
  const groups = new Map<string, GroupObject>();
  const networks = new Map<string, NetworkObject>();
  const zones = new Map<string, ZoneObject>();
  const meters = new Map<string, MeterObject>();
  const local = topology.host.tunnelIp;
  for (const network of topology.networks) {
    const { name, encap } = network.network;
    const { zone, vni } = network;
    const members: GroupMemberObject[] = [];
    for (const view of network.localPorts) {
      const { port, device } = view;
      if (port.device === undefined) continue;
      for (const [meter, object] of meterObjects(port, view.meters)) meters.set(meter, object);
      const member = memberOf(view);
      members.push(member);
      if (zone !== 0) {
        const { vlan } = member;
        zones.set(`${port.device}/${vlan}`, { port: device, vlan, vni: 0, zone });
      }
      // The logical ports of a trunk share the device; the first one's mode holds.
      if (!ports.has(port.device)) {
        ports.set(port.device, { number: device, device: port.device, mode: port.mode });
      }
    }
    const remote = network.tunnels.map(
      ({ number }): GroupMemberObject => ({ kind: 'tunnel', number, vlan: 0, meter: 0 }),
    );
    if (network.groupAll !== 0) {
      groups.set(`${name}/local`, { number: network.groupLocal, members });
      groups.set(`${name}/all`, { number: network.groupAll, members: [...members, ...remote] });
    }
    for (const kind of network.kinds) {
      groups.set(kind.name, { number: kind.group, members: kind.ports.map(memberOf) });
    }
    if (network.groupRemote !== 0) {
      groups.set(`${name}/remote`, { number: network.groupRemote, members: remote });
    }
    networks.set(name, { vni, encap });
    if (zone !== 0) zones.set(`VNI ${vni}`, { port: 0, vlan: 0, vni, zone });
  }
  const tunnels = new Map(
    topology.tunnels.map(({ name, number, encap, host }) => [
      name,
      { number, encap, local, remote: host.tunnelIp },
    ]),
  );
  return { ports, tunnels, groups, networks, zones, meters, endpoints: [local] };
}

function memberOf({ port, device, meters }: PortView): GroupMemberObject {
  return { kind: 'port', number: device, vlan: port.vlan ?? 0, meter: meters.ingress };
}
