// rules/routing.ts — stages router, route and next-hop: what is sent to a gateway goes on here.
//
//   router     packets to the MAC of a router: for one of its own addresses, or to be routed
//   route      IP forwarding: the longest prefix, to the network of a subnet or to a next hop
//   next-hop   ARP and ND: the address, or the next hop, to its MAC and its place
//
// The third table of the overlay, MAC to VTEP, is the location that a next hop comes with. The
// packet leaves in the network of its receiver, from the MAC of the router, so that the receiver's
// host has nothing to route; the answer is routed by that host in its turn. What came out of a
// tunnel to a gateway is routed as well: it is an error or a reset that the receiver's firewall
// made, on its way back to a sender here.
//
// Time exceeded, too big and unreachable come from the gateway of the network that the packet came
// from, which is the router that the sender knows. Link-local addresses, groups and loopback are
// not routed (RFC 3927 section 2.7, RFC 4291 section 2.5.6).

import {
  action,
  decTtlGatewayAt,
  enforceMtuGatewayAt,
  gatewayWords,
  unreachable,
  unreachableGatewayAt,
} from '../flow/actions.ts';
import { dropReason } from '../flow/drop-reasons.ts';
import { ethType, fragFirst, fragLater, fragNone, ipProto } from '../flow/key.ts';
import {
  type Cidr,
  formatCidr,
  formatIp,
  type IpFamily,
  ipFamily,
  parseCidr,
  prefixMask,
} from '../lib/addresses.ts';
import { builtIn, Match, RuleList } from '../pipeline/match.ts';
import { register } from '../pipeline/registers.ts';
import type { Origin, Step } from '../pipeline/rule.ts';
import { gatewaysIn, type Neighbour, neighboursOf, type RouterPlan } from './routers.ts';
import { linkLocalOf, type NetworkView, type Topology } from './topology.ts';

const ownAddress = 300;
const notRoutable = 200;
const forwarded = 100;
/** Of a route; the length of its prefix is added. */
const prefixPriority = 100;

/** Where routers bring nothing. */
const neverRouted = [
  '169.254.0.0/16',
  '127.0.0.0/8',
  '224.0.0.0/3',
  'fe80::/10',
  'ff00::/8',
  '::/127',
];
/** From whom they take nothing. */
const linkLocal = ['169.254.0.0/16', 'fe80::/10'];

const noRoute: Step = {
  kind: 'drop',
  reason: dropReason.NoRoute,
  answer: action.unreachable(unreachable.noRoute),
  gatewayAt: unreachableGatewayAt,
};
const hostUnreachable: Step = {
  kind: 'drop',
  reason: dropReason.HostUnreachable,
  answer: action.unreachable(unreachable.host),
  gatewayAt: unreachableGatewayAt,
};
/** Answered from the address that was asked for a service. */
const nobodyListens: Step = {
  kind: 'drop',
  reason: dropReason.RouterItself,
  answer: action.unreachable(unreachable.port),
};

const echoRequest = {
  4: { protocol: ipProto.icmp, type: 8 },
  6: { protocol: ipProto.icmpv6, type: 128 },
};

export function routingRules(topology: Topology): RuleList {
  const list = new RuleList();
  const networks = new Map(topology.networks.map((view) => [view.network.name, view]));
  const neighbours = new Map<string, ReadonlyMap<string, Neighbour>>();
  for (const name of new Set(topology.routers.flatMap((plan) => plan.networks))) {
    neighbours.set(name, neighboursOf(networks.get(name)!));
  }
  for (const plan of topology.routers) new RouterRules(list, plan, { networks, neighbours }).add();
  if (topology.routers.length > 0) addOthers(list);
  return list;
}

/** What is not for a gateway asks no table of routes, and is not looked at for their sake. */
function addOthers(list: RuleList): void {
  list.add('router', {
    id: 'not-for-a-gateway',
    priority: 0,
    match: new Match(),
    steps: [{ kind: 'goto', stage: 'l2' }],
    origin: builtIn,
  });
}

interface Overlay {
  readonly networks: ReadonlyMap<string, NetworkView>;
  /** By network, then by address. */
  readonly neighbours: ReadonlyMap<string, ReadonlyMap<string, Neighbour>>;
}

/** Writes the rules of one router. */
class RouterRules {
  readonly #list: RuleList;
  readonly #plan: RouterPlan;
  readonly #overlay: Overlay;
  readonly #name: string;

  constructor(list: RuleList, plan: RouterPlan, overlay: Overlay) {
    this.#list = list;
    this.#plan = plan;
    this.#overlay = overlay;
    this.#name = plan.router.name;
  }

  add(): void {
    for (const name of this.#plan.networks) this.#addEntry(this.#overlay.networks.get(name)!);
    this.#addUnroutable();
    for (const { subnet, cidr } of this.#plan.gateways) {
      this.#addConnected(this.#overlay.networks.get(subnet.network)!, cidr);
    }
    this.#addStaticRoutes();
    this.#addNeighbours();
    const routed = () => new Match().register('router', this.#plan.number);
    const origin = this.#origin('routes');
    this.#list.add('route', {
      id: `${this.#name}/none`,
      priority: 0,
      match: routed(),
      steps: [noRoute],
      origin,
    });
    this.#list.add('next-hop', {
      id: `${this.#name}/none`,
      priority: 0,
      match: routed(),
      steps: [hostUnreachable],
      origin,
    });
  }

  #origin(field: string): Origin {
    return { object: `router ${this.#name}`, path: `routers[${this.#name}].${field}` };
  }

  /** Packets of one network to the router. */
  #addEntry(view: NetworkView): void {
    const { mac, number } = this.#plan;
    const gateways = gatewaysIn(this.#plan, view.network.name).map(({ address }) => address);
    const ofFamily = (family: IpFamily) => gateways.find((one) => ipFamily(one) === family);
    const gateway = Uint32Array.from(gatewayWords(ofFamily(4), ofFamily(6)));
    const from: Step = { kind: 'gateway', words: gateway };
    for (const family of new Set(gateways.map(ipFamily))) {
      const id = `${this.#name}/${view.network.name}/ipv${family}`;
      const entry = () => ethernet(family).register('network', view.vni).bytes('eth_dst', mac);
      const add = (name: string, priority: number, match: Match, steps: readonly Step[]) =>
        this.#list.add('router', {
          id: `${id}${name}`,
          priority,
          match,
          steps,
          origin: this.#origin('subnets'),
        });
      for (const [text, address] of this.#ownAddresses(family)) {
        const own = () => destination(entry(), hostPrefix(address));
        for (const [name, match, steps] of ownServices(family, own)) {
          add(`/own/${text}/${name}`, ownAddress + (name === 'other' ? 0 : 10), match, steps);
        }
      }
      for (const prefix of linkLocal.map(parseCidr)) {
        if (prefix.family !== family) continue;
        add('/link-local', notRoutable, source(entry(), prefix), [from, noRoute]);
      }
      add('', forwarded, entry(), [
        from,
        { kind: 'actions', words: action.decTtl(), gatewayAt: decTtlGatewayAt },
        { kind: 'actions', words: action.setEthSrc(mac) },
        { kind: 'set', register: register.router, value: number },
      ]);
    }
  }

  /** What the router is reached by itself, from whatever side. */
  #ownAddresses(family: IpFamily): Map<string, Uint8Array> {
    const all = this.#plan.gateways.map(({ address }) => address);
    if (family === 6) all.push(linkLocalOf(this.#plan.mac));
    const own = all.filter((address) => ipFamily(address) === family);
    return new Map(own.map((address) => [formatIp(address), address]));
  }

  #routed(family: IpFamily): Match {
    return ethernet(family).register('router', this.#plan.number);
  }

  #addUnroutable(): void {
    for (const text of neverRouted) {
      const prefix = parseCidr(text);
      this.#list.add('route', {
        id: `${this.#name}/unroutable/${text}`,
        priority: prefixPriority + 200,
        match: destination(this.#routed(prefix.family), prefix),
        steps: [noRoute],
        origin: this.#origin('subnets'),
      });
    }
  }

  #addConnected(view: NetworkView, prefix: Cidr): void {
    this.#list.add('route', {
      id: `${this.#name}/${formatCidr(prefix)}`,
      priority: prefixPriority + prefix.prefix,
      match: destination(this.#routed(prefix.family), prefix),
      steps: into(view),
      origin: this.#origin('subnets'),
    });
  }

  /** Routes, and the next hops that they name. A next hop that no port has takes no part. */
  #addStaticRoutes(): void {
    const hops = new Map<string, { readonly number: number; readonly to: Neighbour }>();
    for (const { destination: text, nextHops } of this.#plan.router.routes) {
      for (const hop of nextHops) {
        const to = hops.has(hop) ? undefined : this.#neighbour(hop);
        if (to !== undefined) hops.set(hop, { number: hops.size + 1, to });
      }
      const values = nextHops.flatMap((hop) => hops.get(hop)?.number ?? []);
      const prefix = parseCidr(text);
      this.#list.add('route', {
        id: `${this.#name}/${text}`,
        priority: prefixPriority + prefix.prefix,
        match: destination(this.#routed(prefix.family), prefix),
        steps: nextHopSteps(values),
        origin: this.#origin(`routes[${text}]`),
      });
    }
    for (const [text, { number, to }] of hops) {
      const match = new Match().register('router', this.#plan.number).register('nextHop', number);
      this.#addNextHop(`via/${text}`, match, [...into(to.network), ...reach(to)], to);
    }
  }

  #neighbour(address: string): Neighbour | undefined {
    for (const { subnet } of this.#plan.gateways) {
      const found = this.#overlay.neighbours.get(subnet.network)?.get(address);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Everyone in the subnets of the router. */
  #addNeighbours(): void {
    for (const name of this.#plan.networks) {
      const view = this.#overlay.networks.get(name)!;
      for (const [text, to] of this.#overlay.neighbours.get(name)!) {
        const prefix = parseCidr(`${text}/${text.includes(':') ? 128 : 32}`);
        const match = destination(this.#routed(prefix.family), prefix)
          .register('network', view.vni)
          .register('nextHop', 0);
        this.#addNextHop(`${name}/${text}`, match, reach(to), to);
      }
    }
  }

  #addNextHop(name: string, match: Match, steps: readonly Step[], to: Neighbour): void {
    const { name: port } = to.port.port;
    this.#list.add('next-hop', {
      id: `${this.#name}/${name}`,
      priority: 100,
      match,
      steps,
      origin: { object: `port ${port}`, path: `ports[${port}].${to.field}` },
    });
  }
}

/** What an address of the router does with packets: name, match and steps. */
function ownServices(
  family: IpFamily,
  own: () => Match,
): readonly (readonly [string, Match, readonly Step[]])[] {
  const { protocol, type } = echoRequest[family];
  const echo: readonly Step[] = [
    { kind: 'actions', words: action.echoReply() },
    { kind: 'reply' },
    { kind: 'done' },
  ];
  const icmp = () => own().number('ip_proto', protocol);
  const request = icmp().number('tp_src', type).number('tp_dst', 0);
  return [
    ['echo', request.number('ip_frag', fragNone), echo],
    [
      'echo-first',
      icmp().number('tp_src', type).number('tp_dst', 0).number('ip_frag', fragFirst),
      echo,
    ],
    ['echo-later', icmp().number('ip_frag', fragLater), echo],
    ['tcp', own().number('ip_proto', ipProto.tcp), [nobodyListens]],
    ['udp', own().number('ip_proto', ipProto.udp), [nobodyListens]],
    ['other', own(), [{ kind: 'drop', reason: dropReason.RouterItself }]],
  ];
}

function ethernet(family: IpFamily): Match {
  return new Match().number('eth_type', family === 4 ? ethType.ipv4 : ethType.ipv6);
}

function destination(match: Match, { family, bytes, prefix }: Cidr): Match {
  if (family === 4) return match.bytes('ip_dst', bytes, prefixMask(prefix, 4));
  return match.bytes('ipv6_dst', bytes, prefixMask(prefix, 16));
}

function source(match: Match, { family, bytes, prefix }: Cidr): Match {
  if (family === 4) return match.bytes('ip_src', bytes, prefixMask(prefix, 4));
  return match.bytes('ipv6_src', bytes, prefixMask(prefix, 16));
}

function hostPrefix(address: Uint8Array): Cidr {
  return { family: ipFamily(address), bytes: address, prefix: address.length * 8 };
}

/** Into a network, as far as its MTU allows. */
function into({ vni, network, gateway4, gateway6 }: NetworkView): readonly Step[] {
  const words = action.enforceMtu(network.mtu, 0, gateway4, gateway6);
  return [
    { kind: 'actions', words, gatewayAt: enforceMtuGatewayAt },
    { kind: 'set', register: register.network, value: vni },
  ];
}

/** To the MAC and the place of a neighbour. */
function reach({ mac, location }: Neighbour): readonly Step[] {
  return [
    { kind: 'actions', words: action.setEthDst(mac) },
    { kind: 'set', register: register.destination, value: location },
    { kind: 'goto', stage: 'ingress-policy' },
  ];
}

function nextHopSteps(values: readonly number[]): readonly Step[] {
  const [first] = values;
  if (first === undefined) return [hostUnreachable];
  if (values.length === 1) return [{ kind: 'set', register: register.nextHop, value: first }];
  return [{ kind: 'spread', register: register.nextHop, values }];
}
