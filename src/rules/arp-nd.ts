// rules/arp-nd.ts — stage neighbours: ARP requests and ND solicitations answered from the model.
//
// What the model knows is not flooded: the switch turns the request of a local port into the answer
// and sends it back. Only multicast requests are answered; a unicast one asks whether the neighbour
// still lives (RFC 4861, section 7.3), and the neighbour itself shall say so. A port that asks
// about its own address announces it, or looks for a duplicate: that is flooded, as are questions
// for addresses that several ports may take over (address pairs). A question for an address that
// nobody has ends here, unless the network has ports whose addresses the model does not know.
// Requests out of a tunnel were let through by the other VTEP, so the asked port answers them
// itself. A gateway is here as much as anywhere: questions for it are answered even when unicast.
// So are router solicitations where a subnet is to be advertised: hosts make their addresses of its
// prefix (SLAAC).

import { action, ndReplyRouter } from '../flow/actions.ts';
import { dropReason } from '../flow/drop-reasons.ts';
import { ethType, ipProto } from '../flow/key.ts';
import { formatCidr, formatIp, ipFamily, prefixMask } from '../lib/addresses.ts';
import { groupBit, Match, RuleList } from '../pipeline/match.ts';
import { locationLocal } from '../pipeline/registers.ts';
import type { Origin, Step } from '../pipeline/rule.ts';
import { type AdvertisedRouter, advertisedIn } from './advertise.ts';
import { gatewaysIn, type RouterPlan } from './routers.ts';
import { linkLocalOf, type NetworkView, type PortView, type Topology } from './topology.ts';

const arpRequest = 1;
const solicitation = 135;
const routerSolicitation = 133;

const ownAddress = 300;
const gatewayAddress = 280;
const sharedAddress = 250;
const knownAddress = 200;
const unknownAddress = 100;

/** Neither answered nor dropped: broadcast decides. */
const flood: readonly Step[] = [];

export function arpNdRules(topology: Topology): RuleList {
  const list = new RuleList();
  for (const network of topology.networks) {
    if (network.localPorts.length === 0) continue;
    for (const view of network.ports) addPort(list, network, view);
    for (const plan of network.routers) addGateways(list, network, plan);
    addAdvertisement(list, network);
    if (!network.open) addUnknown(list, network);
  }
  return list;
}

/** A multicast question of a local port of the network; the target is still to be named. */
function question(network: NetworkView, family: 4 | 6): Match {
  return anyQuestion(network, family).bytes('eth_dst', groupBit, groupBit);
}

/** The same, unicast or multicast. */
function anyQuestion(network: NetworkView, family: 4 | 6): Match {
  const match = new Match().register('network', network.vni).kind('source', locationLocal);
  if (family === 4) return match.number('eth_type', ethType.arp).number('ip_proto', arpRequest);
  return match
    .number('eth_type', ethType.ipv6)
    .number('ip_proto', ipProto.icmpv6)
    .number('tp_src', solicitation);
}

function target(match: Match, address: Uint8Array, prefix = address.length * 8): Match {
  if (address.length === 4) return match.bytes('ip_dst', address, prefixMask(prefix, 4));
  return match.bytes('nd_target', address, prefixMask(prefix, 16));
}

function addPort(list: RuleList, network: NetworkView, view: PortView): void {
  const { name } = view.port;
  const id = `${network.network.name}/${name}`;
  const origin = (field: string): Origin => ({
    object: `port ${name}`,
    path: `ports[${name}].${field}`,
  });
  for (const [text, address] of byText([...view.ips, linkLocalOf(view.mac)])) {
    const family = address.length === 4 ? 4 : 6;
    const reply = family === 4 ? action.arpReply(view.mac) : action.ndReply(view.mac);
    list.add('neighbours', {
      id: `${id}/${text}`,
      priority: knownAddress,
      match: target(question(network, family), address),
      steps: [{ kind: 'actions', words: reply }, { kind: 'reply' }, { kind: 'done' }],
      origin: origin('ips'),
    });
    if (!view.local) continue;
    const own = target(question(network, family), address).register('source', view.location);
    list.add('neighbours', {
      id: `${id}/own/${text}`,
      priority: ownAddress,
      match: own,
      steps: flood,
      origin: origin('ips'),
    });
  }
  const prefixes = new Map(view.pairs.map(({ prefix }) => [formatCidr(prefix), prefix]));
  for (const [text, prefix] of prefixes) {
    list.add('neighbours', {
      id: `${id}/pair/${text}`,
      priority: sharedAddress,
      match: target(question(network, prefix.family), prefix.bytes, prefix.prefix),
      steps: flood,
      origin: origin('allowedAddressPairs'),
    });
  }
}

function addGateways(list: RuleList, network: NetworkView, plan: RouterPlan): void {
  const { router, mac } = plan;
  const gateways = gatewaysIn(plan, network.network.name).map(({ address }) => address);
  const six = gateways.some((address) => address.length === 16);
  const advertised = advertisedIn(network);
  for (const [text, address] of byText(six ? [...gateways, linkLocalOf(mac)] : gateways)) {
    const family = ipFamily(address);
    const reply = family === 4 ? action.arpReply(mac) : action.ndReply(mac, ndReplyRouter);
    // Who uses the router asks for its MAC now and then, and is told of it again: so it stays known
    // while vtepd, which sends advertisements unasked, is away.
    const more = family === 6 && advertised?.plan === plan ? stepsOf(advertised) : [];
    list.add('neighbours', {
      id: `${network.network.name}/router/${router.name}/${text}`,
      priority: gatewayAddress,
      match: target(anyQuestion(network, family), address),
      steps: [{ kind: 'actions', words: reply }, { kind: 'reply' }, ...more, { kind: 'done' }],
      origin: { object: `router ${router.name}`, path: `routers[${router.name}].subnets` },
    });
  }
}

function stepsOf({ words }: AdvertisedRouter): readonly Step[] {
  return [...words.map((one): Step => ({ kind: 'actions', words: one })), { kind: 'reply' }];
}

/** Router solicitations are answered. */
function addAdvertisement(list: RuleList, network: NetworkView): void {
  const advertised = advertisedIn(network);
  if (advertised === undefined) return;
  const { router } = advertised.plan;
  list.add('neighbours', {
    id: `${network.network.name}/router/${router.name}/advertisement`,
    priority: gatewayAddress,
    match: new Match()
      .register('network', network.vni)
      .kind('source', locationLocal)
      .number('eth_type', ethType.ipv6)
      .number('ip_proto', ipProto.icmpv6)
      .number('tp_src', routerSolicitation),
    steps: [...stepsOf(advertised), { kind: 'done' }],
    origin: { object: `router ${router.name}`, path: `routers[${router.name}].subnets` },
  });
}

/** Each address once. */
function byText(addresses: readonly Uint8Array[]): Map<string, Uint8Array> {
  return new Map(addresses.map((address) => [formatIp(address), address]));
}

function addUnknown(list: RuleList, network: NetworkView): void {
  const { name } = network.network;
  for (const family of [4, 6] as const) {
    list.add('neighbours', {
      id: `${name}/unknown${family}`,
      priority: unknownAddress,
      match: question(network, family),
      steps: [{ kind: 'drop', reason: dropReason.UnknownNeighbour }],
      origin: { object: `network ${name}`, path: `networks[${name}]` },
    });
  }
}
