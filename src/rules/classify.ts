// rules/classify.ts — stages classify, admit and tunnel-source: which network, from which port.
//
// A device without VLAN is an access link: untagged frames, and priority-tagged ones (VLAN 0). A
// device with VLANs is a trunk, one VLAN for each logical port; the tag is taken off on the way
// out. A tag inside a network has no meaning, so frames that carry one there are unknown. A tunnel
// packet belongs to the network of its VNI; it must come from a VTEP of the network, and unless the
// network learns, from the host where the model has its source MAC. A routed packet has the MAC of
// the router, and comes from any host from which the router leads here.

import { dropReason } from '../flow/drop-reasons.ts';
import { vlanPresent } from '../flow/key.ts';
import { formatMac } from '../lib/addresses.ts';
import { builtIn, groupBit, Match, RuleList } from '../pipeline/match.ts';
import { locationTunnel, register } from '../pipeline/registers.ts';
import type { Step } from '../pipeline/rule.ts';
import { meterSteps } from './qos.ts';
import type { NetworkView, PortView, Topology, TunnelView } from './topology.ts';

const zeroMac = new Uint8Array(6);
/** 01:80:c2:00:00:0x: kept between two bridges (IEEE 802.1Q, table 8-1). */
const reservedMac = Uint8Array.of(0x01, 0x80, 0xc2, 0, 0, 0);
const reservedMask = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xf0);

export function classifyRules(topology: Topology): RuleList {
  const list = new RuleList();
  addAdmit(list);
  if (topology.uplink !== 0) addUplink(list, topology.uplink);
  for (const network of topology.networks) {
    for (const port of network.localPorts) addLocalPort(list, network, port);
    addNetwork(list, network);
    for (const tunnel of network.tunnels) addTunnelSource(list, network, tunnel);
    for (const tunnel of network.routedTunnels) addRouterSource(list, network, tunnel);
  }
  list.add('tunnel-source', {
    id: 'elsewhere',
    priority: 0,
    match: new Match().kind('source', locationTunnel),
    steps: [{ kind: 'drop', reason: dropReason.WrongNetworkVtep }],
    origin: builtIn,
  });
  return list;
}

function addLocalPort(list: RuleList, network: NetworkView, view: PortView): void {
  if (view.device === 0) return;
  const { port } = view;
  const origin = { object: `port ${port.name}`, path: `ports[${port.name}].device` };
  const registers: Step[] = [
    ...meterSteps(view.meters.egress),
    { kind: 'set', register: register.network, value: network.vni },
    { kind: 'set', register: register.source, value: view.location },
    { kind: 'set', register: register.sourceId, value: view.wireId },
  ];
  const tagged: Step[] = [...registers, { kind: 'set', register: register.tagged, value: 1 }];
  const link = (tci: number) =>
    new Match()
      .number('tunnel_id', 0)
      .number('in_port', view.device)
      .number('vlan_tci', tci)
      .number('vlan_tci2', 0);
  if (port.vlan === undefined) {
    const match = link(0);
    list.add('classify', {
      id: `port/${port.name}`,
      priority: 100,
      match,
      steps: registers,
      origin,
    });
  }
  const match = link((port.vlan ?? 0) | vlanPresent);
  list.add('classify', {
    id: `port/${port.name}/tagged`,
    priority: 100,
    match,
    steps: tagged,
    origin,
  });
}

/** What is left of the uplink: tunnel packets of networks that have no port here. */
function addUplink(list: RuleList, uplink: number): void {
  list.add('classify', {
    id: 'uplink',
    priority: 50,
    match: new Match().number('in_port', uplink),
    steps: [{ kind: 'drop', reason: dropReason.UnknownVni }],
    origin: builtIn,
  });
}

function addNetwork(list: RuleList, { network, vni }: NetworkView): void {
  list.add('classify', {
    id: `vni/${network.name}`,
    priority: 200,
    match: new Match().number('tunnel_id', vni).number('vlan_tci', 0),
    steps: [
      { kind: 'set', register: register.network, value: vni },
      { kind: 'set', register: register.source, value: locationTunnel },
    ],
    origin: { object: `network ${network.name}`, path: `networks[${network.name}].vni` },
  });
  list.add('classify', {
    id: `vni/${network.name}/tagged`,
    priority: 150,
    match: new Match().number('tunnel_id', vni),
    steps: [{ kind: 'drop', reason: dropReason.UnknownPort }],
    origin: { object: `network ${network.name}`, path: `networks[${network.name}].vni` },
  });
}

function addAdmit(list: RuleList): void {
  const bad: Step[] = [{ kind: 'drop', reason: dropReason.BadSourceMac }];
  list.add('admit', {
    id: 'group-source',
    priority: 300,
    match: new Match().bytes('eth_src', groupBit, groupBit),
    steps: bad,
    origin: builtIn,
  });
  list.add('admit', {
    id: 'zero-source',
    priority: 200,
    match: new Match().bytes('eth_src', zeroMac),
    steps: bad,
    origin: builtIn,
  });
  list.add('admit', {
    id: 'reserved',
    priority: 100,
    match: new Match().bytes('eth_dst', reservedMac, reservedMask),
    steps: [{ kind: 'drop', reason: dropReason.ReservedMac }],
    origin: builtIn,
  });
}

/** Packets of one VTEP in one network. */
function addTunnelSource(list: RuleList, network: NetworkView, tunnel: TunnelView): void {
  const { name } = network.network;
  const from: Step = { kind: 'set', register: register.source, value: tunnel.location };
  const ports = network.remotePorts.filter((view) => view.port.host === tunnel.host.name);
  const anyMac = network.learning !== false || ports.some((view) => !view.port.portSecurity);
  for (const number of tunnel.aliases) {
    const id = `${name}/${tunnel.name}/${number}`;
    const match = () =>
      new Match()
        .register('source', locationTunnel)
        .register('network', network.vni)
        .number('tunnel_src', number);
    if (anyMac) {
      list.add('tunnel-source', {
        id,
        priority: 50,
        match: match(),
        steps: [from, { kind: 'goto', stage: 'learn' }],
        origin: { object: `host ${tunnel.host.name}`, path: `hosts[${tunnel.host.name}].tunnelIp` },
      });
      continue;
    }
    for (const view of ports) {
      for (const mac of view.macs) {
        list.add('tunnel-source', {
          id: `${id}/${view.port.name}/${formatMac(mac)}`,
          priority: 100,
          match: match().bytes('eth_src', mac),
          steps: [from, { kind: 'goto', stage: 'learn' }],
          origin: { object: `port ${view.port.name}`, path: `ports[${view.port.name}].mac` },
        });
      }
    }
  }
}

/** Packets that a router at another VTEP has brought into the network. */
function addRouterSource(list: RuleList, network: NetworkView, tunnel: TunnelView): void {
  for (const { router, mac } of network.routers) {
    for (const number of tunnel.aliases) {
      list.add('tunnel-source', {
        id: `${network.network.name}/${tunnel.name}/${number}/router/${router.name}`,
        priority: 150,
        match: new Match()
          .register('source', locationTunnel)
          .register('network', network.vni)
          .number('tunnel_src', number)
          .bytes('eth_src', mac),
        steps: [
          { kind: 'set', register: register.source, value: tunnel.location },
          { kind: 'goto', stage: 'learn' },
        ],
        origin: { object: `router ${router.name}`, path: `routers[${router.name}].mac` },
      });
    }
  }
}
