// rules/topology.ts — what of a document concerns one host: its networks, their ports, the tunnels.
//
// Only networks with a port on this host matter here, and those that a router joins with one of
// them; of both, all ports everywhere. Addresses are parsed once, numbers are looked up once; the
// other files of this folder only write rules.

import { type Cidr, eui64Of, parseIp, parseMac, tryParseIpOrCidr } from '../lib/addresses.ts';
import { SwitchError } from '../lib/errors.ts';
import type { Document, Encap, Host, Learning, Network, Port } from '../model/document.ts';
import { localLocation, tunnelLocation } from '../pipeline/registers.ts';
import { hashName } from '../pipeline/rule.ts';
import { domainsOf } from './domains.ts';
import { type Firewall, firewallsOf } from './firewall.ts';
import type { Numbering } from './numbering.ts';
import { metersOf, noMeters, type PortMeters } from './qos.ts';
import { type RouterPlan, routerPlans } from './routers.ts';

/** An address that a port may use beside its own ones. */
export interface PairView {
  readonly prefix: Cidr;
  readonly mac: Uint8Array;
}

/** A port of a network that concerns this host. */
export interface PortView {
  readonly port: Port;
  readonly mac: Uint8Array;
  /** Own MAC first, then those of address pairs, none twice. */
  readonly macs: readonly Uint8Array[];
  readonly ips: readonly Uint8Array[];
  readonly pairs: readonly PairView[];
  /** Where packets for the port go: itself, or the tunnel to its host. */
  readonly location: number;
  readonly local: boolean;
  /** Device port number; 0: the port is elsewhere or has no device. */
  readonly device: number;
  /** Of a local port; undefined: it is open. */
  readonly firewall: Firewall | undefined;
  /** Of a local port: its rate limits. */
  readonly meters: PortMeters;
  /** Where its addresses mean one thing; see domains.ts. */
  readonly domain: string;
  /** Id of the port in the Geneve option: the same on every host, without asking anyone. */
  readonly wireId: number;
}

/** A remote VTEP, for networks of one encapsulation. */
export interface TunnelView {
  readonly name: string;
  readonly number: number;
  readonly host: Host;
  readonly encap: Encap;
  /** Numbers of all tunnels to the same address: which of them `tunnel_src` holds is not said. */
  readonly aliases: readonly number[];
  readonly location: number;
}

/** Local ports of a network that have the same firewall. */
export interface PortKind {
  readonly firewall: Firewall | undefined;
  readonly ports: readonly PortView[];
  /** Replicates to them. */
  readonly group: number;
  /** Name of the group. */
  readonly name: string;
}

export interface NetworkView {
  readonly network: Network;
  readonly vni: number;
  readonly learning: false | Learning;
  readonly ports: readonly PortView[];
  readonly localPorts: readonly PortView[];
  readonly remotePorts: readonly PortView[];
  /** Remote VTEPs that take part in the network. */
  readonly tunnels: readonly TunnelView[];
  /** Remote VTEPs that may send what a router has brought into the network. */
  readonly routedTunnels: readonly TunnelView[];
  /** Routers that have a gateway in the network. */
  readonly routers: readonly RouterPlan[];
  /** Some port may use addresses that the model does not know. */
  readonly open: boolean;
  /** 0, both: the network has no port here. */
  readonly groupAll: number;
  readonly groupLocal: number;
  /** Empty when no local port has a firewall. */
  readonly kinds: readonly PortKind[];
  /** Replicates to remote VTEPs; 0: there are no kinds, or no tunnels. */
  readonly groupRemote: number;
  /** Where connections of the network are tracked; 0: nobody asks for them. */
  readonly zone: number;
  /** Source of too-big answers: gateway of the first subnet of the family that has one. */
  readonly gateway4: Uint8Array | undefined;
  readonly gateway6: Uint8Array | undefined;
}

export interface Topology {
  readonly host: Host;
  readonly networks: readonly NetworkView[];
  readonly tunnels: readonly TunnelView[];
  /** Routers that have a gateway in a network with a local port. */
  readonly routers: readonly RouterPlan[];
  /** Number of the underlay device; 0: none. */
  readonly uplink: number;
  /** The domain of a network, by name. */
  readonly domainOf: (network: string) => string;
}

export interface TopologyOptions {
  /** Name of this host. */
  readonly host: string;
  readonly numbering: Numbering;
  /** Underlay device, from the configuration of the daemon. */
  readonly uplinkDevice?: string;
}

/**
 * What of `document` concerns the host. Throws ERR_NOT_FOUND when the document has no such host.
 */
export function topologyOf(document: Document, options: TopologyOptions): Topology {
  const { host, numbering } = options;
  const hosts = new Map(document.hosts.map((entry) => [entry.name, entry]));
  const self = hosts.get(host);
  if (self === undefined) {
    throw new SwitchError('ERR_NOT_FOUND', `the document has no host ${host}`, {
      remedy: 'Add the host to the document, or correct "host" in the configuration of vtepd.',
    });
  }
  const portsOf = grouped(document.ports, (port) => port.network);
  const isLocal = (network: string) =>
    portsOf.get(network)?.some((port) => port.host === host) === true;
  const routers = routerPlans(document, numbering, isLocal);
  const joined = new Set(routers.flatMap(({ networks }) => networks));
  const concerned = document.networks.filter(({ name }) => isLocal(name) || joined.has(name));
  const members = new Map(
    concerned.map((network) => [
      network.name,
      remoteMembers(document, network, portsOf.get(network.name) ?? [], self),
    ]),
  );
  const senders = new Map(
    concerned.map(({ name }) => [name, isLocal(name) ? routedFrom(name, routers, members) : []]),
  );
  const tunnels = tunnelViews(concerned, [members, senders], numbering);
  const domainOf = domainsOf(document);
  const context = { self, numbering, domainOf, firewallOf: firewallsOf(document) };
  const zones = zonesOf(concerned, portsOf, context);
  const subnetsOf = grouped(document.subnets, (subnet) => subnet.network);
  const networks = concerned.map((network) => {
    const tunnelTo = (other: Host) => tunnels.get(tunnelName(other, network.encap))!;
    return networkView({
      network,
      ports: portsOf.get(network.name) ?? [],
      tunnels: (members.get(network.name) ?? []).map(tunnelTo),
      routedTunnels: (senders.get(network.name) ?? []).map(tunnelTo),
      routers: routers.filter((plan) => plan.networks.includes(network.name)),
      gateways: (subnetsOf.get(network.name) ?? []).flatMap((subnet) => subnet.gateway ?? []),
      zone: zones.get(domainOf(network.name)) ?? 0,
      context,
    });
  });
  const { uplinkDevice } = options;
  const uplink = uplinkDevice === undefined ? 0 : numbering.number('devices', uplinkDevice);
  return { host: self, networks, tunnels: [...tunnels.values()], routers, uplink, domainOf };
}

/** What the views of all networks are made with. */
interface Context {
  readonly self: Host;
  readonly numbering: Numbering;
  readonly domainOf: (network: string) => string;
  readonly firewallOf: (port: Port) => Firewall | undefined;
}

/** Zones of the domains in which a local port tracks connections. */
function zonesOf(
  networks: readonly Network[],
  portsOf: ReadonlyMap<string, readonly Port[]>,
  { self, numbering, domainOf, firewallOf }: Context,
): Map<string, number> {
  const zones = new Map<string, number>();
  for (const { name } of networks) {
    const ports = portsOf.get(name) ?? [];
    const tracks = ports.some(
      (port) => port.host === self.name && firewallOf(port)?.stateful === true,
    );
    if (tracks) zones.set(domainOf(name), numbering.number('zones', domainOf(name)));
  }
  return zones;
}

/** Name of a tunnel, in numbering and in output: "h2/vxlan". */
export function tunnelName(host: Host, encap: Encap): string {
  return `${host.name}/${encap}`;
}

/** Other hosts that have ports of the network, and peers that take part in it. */
function remoteMembers(
  document: Document,
  network: Network,
  ports: readonly Port[],
  self: Host,
): readonly Host[] {
  const withPorts = new Set(ports.map((port) => port.host));
  return document.hosts.filter(
    (host) =>
      host.name !== self.name && (withPorts.has(host.name) || host.networks.includes(network.name)),
  );
}

/**
 * Hosts whose routers bring packets into a network: those with ports in it, or in one that a router
 * joins with it. A peer has no router.
 */
function routedFrom(
  network: string,
  routers: readonly RouterPlan[],
  members: ReadonlyMap<string, readonly Host[]>,
): readonly Host[] {
  const hosts = routers
    .filter(({ networks }) => networks.includes(network))
    .flatMap(({ networks }) => networks)
    .flatMap((name) => members.get(name) ?? []);
  return [...new Set(hosts)].filter(({ kind }) => kind !== 'peer');
}

function tunnelViews(
  networks: readonly Network[],
  members: readonly ReadonlyMap<string, readonly Host[]>[],
  numbering: Numbering,
): Map<string, TunnelView> {
  const needed = new Map<string, { host: Host; encap: Encap; number: number }>();
  for (const network of networks) {
    for (const host of members.flatMap((hosts) => hosts.get(network.name) ?? [])) {
      const name = tunnelName(host, network.encap);
      if (needed.has(name)) continue;
      needed.set(name, { host, encap: network.encap, number: numbering.number('tunnels', name) });
    }
  }
  const numbersOf = grouped(needed.values(), (entry) => entry.host.tunnelIp);
  const views = new Map<string, TunnelView>();
  for (const [name, { host, encap, number }] of needed) {
    const aliases = (numbersOf.get(host.tunnelIp) ?? []).map((entry) => entry.number);
    views.set(name, { name, number, host, encap, aliases, location: tunnelLocation(number) });
  }
  return views;
}

interface NetworkParts {
  readonly network: Network;
  readonly ports: readonly Port[];
  readonly tunnels: readonly TunnelView[];
  readonly routedTunnels: readonly TunnelView[];
  readonly routers: readonly RouterPlan[];
  readonly gateways: readonly string[];
  readonly zone: number;
  readonly context: Context;
}

function networkView(parts: NetworkParts): NetworkView {
  const { network, tunnels, routedTunnels, routers, zone, context } = parts;
  const { numbering, self, domainOf } = context;
  const domain = domainOf(network.name);
  const tunnelOf = new Map(tunnels.map((tunnel) => [tunnel.host.name, tunnel]));
  const ports = parts.ports.map((port) =>
    port.host === self.name
      ? localPort(port, context)
      : portView(port, {
          ...{ location: tunnelOf.get(port.host)!.location, local: false, device: 0, domain },
          ...{ firewall: undefined, meters: noMeters },
        }),
  );
  const localPorts = ports.filter((view) => view.local);
  const kinds = kindsOf(network, localPorts, numbering);
  const remote = kinds.length > 0 && tunnels.length > 0;
  const gateways = parts.gateways.map(parseIp);
  // A network without a port here is reached by routers only: nothing is replicated to it.
  const group = (name: string) =>
    localPorts.length === 0 ? 0 : numbering.number('groups', `${network.name}/${name}`);
  return {
    network,
    vni: network.vni,
    learning: network.learning,
    ports,
    localPorts,
    remotePorts: ports.filter((view) => !view.local),
    tunnels,
    routedTunnels,
    routers,
    open: network.learning !== false || ports.some((view) => !knowsAddresses(view)),
    groupAll: group('all'),
    groupLocal: group('local'),
    kinds,
    groupRemote: remote ? group('remote') : 0,
    zone,
    gateway4: gateways.find((address) => address.length === 4),
    gateway6: gateways.find((address) => address.length === 16),
  };
}

/** True when the port can use no address but those of the model. */
function knowsAddresses(view: PortView): boolean {
  return view.port.portSecurity && view.port.ips.length > 0;
}

/** Local ports by firewall, open ones first. */
function kindsOf(
  network: Network,
  ports: readonly PortView[],
  numbering: Numbering,
): readonly PortKind[] {
  const usable = ports.filter((view) => view.device !== 0);
  if (usable.every((view) => view.firewall === undefined)) return [];
  const byName = grouped(usable, ({ firewall }) => firewall?.name ?? '');
  return [...byName].sort(byText).map(([firewallName, views]) => {
    const name = `${network.name}/kind/${firewallName}`;
    const group = numbering.number('groups', name);
    return { firewall: views[0]!.firewall, ports: views, group, name };
  });
}

function byText([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}

function localPort(port: Port, { numbering, domainOf, firewallOf }: Context): PortView {
  const location = localLocation(numbering.number('logicalPorts', port.name));
  const device = port.device === undefined ? 0 : numbering.number('devices', port.device);
  const domain = domainOf(port.network);
  const firewall = firewallOf(port);
  const meters = metersOf(port, numbering);
  return portView(port, { location, local: true, device, domain, firewall, meters });
}

function portView(
  port: Port,
  place: Pick<PortView, 'location' | 'local' | 'device' | 'domain' | 'firewall' | 'meters'>,
): PortView {
  const macTexts = new Set([
    port.mac,
    ...port.allowedAddressPairs.flatMap((pair) => pair.mac ?? []),
  ]);
  return {
    port,
    mac: parseMac(port.mac),
    macs: [...macTexts].map(parseMac),
    ips: port.ips.map(parseIp),
    pairs: port.allowedAddressPairs.map((pair) => ({
      prefix: tryParseIpOrCidr(pair.ip)!,
      mac: parseMac(pair.mac ?? port.mac),
    })),
    ...place,
    wireId: hashName(port.name),
  };
}

/** Entries by key, each list in the order of the entries. */
function grouped<Entry>(
  entries: Iterable<Entry>,
  keyOf: (entry: Entry) => string,
): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const key = keyOf(entry);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  return groups;
}

const linkLocalPrefix = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0);

/** Link-local IPv6 address that a MAC stands for: modified EUI-64 (RFC 4291, appendix A). */
export function linkLocalOf(mac: Uint8Array): Uint8Array {
  return eui64Of(linkLocalPrefix, mac);
}
