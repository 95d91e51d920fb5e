// rules/l2.ts — stages l2 and deliver: where a MAC is, and how a packet gets there.
//
// l2 turns the destination MAC into a location: a local port, a remote VTEP, or all of the network.
// deliver turns the location into actions. Broadcast, unknown multicast and MACs that several ports
// share are replicated head-end: to local ports and to every VTEP of the network when they come
// from a local port, to local ports only when they come out of a tunnel (split horizon). A packet
// for a tunnel is held to the network's MTU first, while it still has the tag of its access link,
// so that the answer "too big" goes back the way the packet came.

import { action, enforceMtuGatewayAt } from '../flow/actions.ts';
import { dropReason } from '../flow/drop-reasons.ts';
import { builtIn, groupBit, Match, RuleList } from '../pipeline/match.ts';
import { locationFlood, locationLocal, locationTunnel, register } from '../pipeline/registers.ts';
import type { Origin, Step } from '../pipeline/rule.ts';
import { meterSteps } from './qos.ts';
import type { NetworkView, PortView, Topology, TunnelView } from './topology.ts';

/** Operand of OutputTunnel and OutputGroup that holds the id of the source port. */
const sourceIdAt = 3;

export function l2Rules(topology: Topology): RuleList {
  const list = new RuleList();
  addSplitHorizon(list);
  for (const network of topology.networks) {
    if (network.localPorts.length > 0) {
      addAddresses(list, network);
      addFlood(list, network);
    }
    for (const tunnel of network.tunnels) addTunnel(list, network, tunnel);
    for (const view of network.localPorts) addLocalPort(list, view);
  }
  return list;
}

function to(location: number): readonly Step[] {
  return [
    { kind: 'set', register: register.destination, value: location },
    { kind: 'goto', stage: 'ingress-policy' },
  ];
}

function networkOrigin({ network }: NetworkView): Origin {
  return { object: `network ${network.name}`, path: `networks[${network.name}]` };
}

function addAddresses(list: RuleList, network: NetworkView): void {
  const { vni } = network;
  const { name } = network.network;
  const inNetwork = () => new Match().register('network', vni);
  list.add('l2', {
    id: `${name}/group`,
    priority: 200,
    match: inNetwork().bytes('eth_dst', groupBit, groupBit),
    steps: to(locationFlood),
    origin: networkOrigin(network),
  });
  const shared = new Map<string, { mac: Uint8Array; port: string }>();
  for (const view of network.ports) {
    list.add('l2', {
      id: `${name}/port/${view.port.name}`,
      priority: 100,
      match: inNetwork().bytes('eth_dst', view.mac),
      steps: to(view.location),
      origin: { object: `port ${view.port.name}`, path: `ports[${view.port.name}].mac` },
    });
    for (const mac of view.macs.slice(1)) {
      const key = Buffer.from(mac).toString('hex');
      if (!shared.has(key)) shared.set(key, { mac, port: view.port.name });
    }
  }
  if (network.learning !== false) {
    addLearning(list, network);
    return;
  }
  // The MAC of an address pair moves between ports, and without learning nobody says when.
  for (const [key, { mac, port }] of shared) {
    list.add('l2', {
      id: `${name}/shared/${key}`,
      priority: 50,
      match: inNetwork().bytes('eth_dst', mac),
      steps: to(locationFlood),
      origin: { object: `port ${port}`, path: `ports[${port}].allowedAddressPairs` },
    });
  }
}

/** What the model does not know is looked up among the learned addresses. */
function addLearning(list: RuleList, network: NetworkView): void {
  list.add('l2', {
    id: `${network.network.name}/learned`,
    priority: 0,
    match: new Match().register('network', network.vni),
    steps: [],
    origin: networkOrigin(network),
  });
}

function enforceMtu(network: NetworkView, tunnel: number): Step {
  const { gateway4, gateway6 } = network;
  const words = action.enforceMtu(network.network.mtu, tunnel, gateway4, gateway6);
  return { kind: 'actions', words, gatewayAt: enforceMtuGatewayAt };
}

function addFlood(list: RuleList, network: NetworkView): void {
  const { vni, groupAll, groupLocal, groupRemote } = network;
  const flood = () => new Match().register('network', vni).register('destination', locationFlood);
  const words = (group: number) => action.outputGroup(group, vni, 0);
  const kinds = network.kinds.map(({ group, ports }) => {
    return { words: words(group), only: ports.length === 1 ? ports[0]!.location : 0 };
  });
  const replicate = (group: number, others: Uint32Array | undefined): Step => {
    const all = words(group);
    if (kinds.length === 0) return { kind: 'actions', words: all, sourceIdAt };
    return { kind: 'receivers', receivers: { all, kinds, others, sourceIdAt } };
  };
  const remote = groupRemote === 0 ? undefined : words(groupRemote);
  const hold = network.tunnels.length > 0 ? [enforceMtu(network, 0)] : [];
  list.add('deliver', {
    id: `flood/${network.network.name}`,
    priority: 100,
    match: flood().kind('source', locationLocal),
    steps: [...hold, { kind: 'untag' }, replicate(groupAll, remote), { kind: 'done' }],
    origin: networkOrigin(network),
  });
  list.add('deliver', {
    id: `flood-local/${network.network.name}`,
    priority: 100,
    match: flood().kind('source', locationTunnel),
    steps: [replicate(groupLocal, undefined), { kind: 'done' }],
    origin: networkOrigin(network),
  });
  if (kinds.length > 0) addNobody(list, network);
}

/** A replicated packet that no local port may have, and that goes nowhere else. */
function addNobody(list: RuleList, network: NetworkView): void {
  const match = new Match()
    .register('network', network.vni)
    .register('destination', locationFlood)
    .register('receivers', 0);
  list.add('deliver', {
    id: `flood-denied/${network.network.name}`,
    priority: 200,
    match: network.groupRemote === 0 ? match : match.kind('source', locationTunnel),
    steps: [{ kind: 'drop', reason: dropReason.AclDeny }],
    origin: networkOrigin(network),
  });
}

function addTunnel(list: RuleList, network: NetworkView, tunnel: TunnelView): void {
  const output: Step = {
    kind: 'actions',
    words: action.outputTunnel(tunnel.number, network.vni, 0),
    sourceIdAt,
  };
  const { name } = tunnel.host;
  list.add('deliver', {
    id: `tunnel/${network.network.name}/${tunnel.name}`,
    priority: 100,
    match: new Match().register('network', network.vni).register('destination', tunnel.location),
    steps: [enforceMtu(network, tunnel.number), { kind: 'untag' }, output, { kind: 'done' }],
    origin: { object: `host ${name}`, path: `hosts[${name}].tunnelIp` },
  });
}

function addLocalPort(list: RuleList, view: PortView): void {
  const { name, vlan } = view.port;
  const origin = { object: `port ${name}`, path: `ports[${name}].device` };
  const there = () => new Match().register('destination', view.location);
  if (view.device === 0) {
    const steps: Step[] = [{ kind: 'drop', reason: dropReason.PortDown }];
    list.add('deliver', { id: `port/${name}`, priority: 100, match: there(), steps, origin });
    return;
  }
  const push: Step[] =
    vlan === undefined ? [] : [{ kind: 'actions', words: action.pushVlan(vlan) }];
  const output: Step = { kind: 'actions', words: action.output(view.device) };
  list.add('deliver', {
    id: `port/${name}`,
    priority: 100,
    match: there(),
    steps: [
      { kind: 'untag' },
      ...meterSteps(view.meters.ingress),
      ...push,
      output,
      { kind: 'done' },
    ],
    origin,
  });
  list.add('deliver', {
    id: `port/${name}/hairpin`,
    priority: 200,
    match: there().register('source', view.location),
    steps: [{ kind: 'drop', reason: dropReason.SamePort }],
    origin,
  });
}

function addSplitHorizon(list: RuleList): void {
  list.add('deliver', {
    id: 'split-horizon',
    priority: 150,
    match: new Match().kind('source', locationTunnel).kind('destination', locationTunnel),
    steps: [{ kind: 'drop', reason: dropReason.FromTunnelToTunnel }],
    origin: builtIn,
  });
}
