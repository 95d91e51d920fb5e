// pipeline/policy-stage.ts — stages egress-policy and ingress-policy: the firewall at the port.
//
// egress-policy judges what a local port sends, ingress-policy what a local port is to receive.
// Both read the location of that port from a register, and the packet's other side from the
// opposite address. A port without a policy is open: the stage has no rule for it.
//
//   register    read by         means
//   source      egress-policy   the port that sends
//   destination ingress-policy  the port that receives, or all of the network
//   network     ingress-policy  whose ports receive, when it is all of the network
//   commit      set by both     the packet starts a connection, which is to be remembered
//   receivers   set by ingress  of a replicated packet: which kinds of ports it may reach
//
// What a rule sees of connection tracking (ct_state), for a stateful port:
//
//   inv         dropped, connection_invalid; basics (DHCP, ND) pass before
//   rel         passes: an ICMP error about a connection
//   rpl         a reply is judged as the packet that it answers would be: by the rules of the other
//               direction, with the ports (or ICMP type) turned round
//   new, est    judged by the rules of this direction; only `new` is committed
//   kept        with est or rpl: what the rules deny passes, since the operator said so
//   0           as new: tracking had not begun when the packet was read
//
// So every packet is judged by the rules of today, whenever its connection began, and a change of
// the policy ends just those connections that it no longer allows: a TCP connection by a reset to
// whoever speaks next, the others in silence. Nothing of the policy is kept with a connection but
// that the operator may let it go on (`vtepctl apply --existing keep`). A stateless port does not
// look at ct_state, and replies need rules of their own.
// Fragments behind the first have neither ports nor state; service-table.ts says what they need.
//
// What a megaflow's mask then holds: EtherType, protocol, ip_frag, ct_state (stateful ports); of
// the other side's address as many bits as tell its class apart, and none when rules for everyone
// settle it; of the port as many bits as tell that it is inside the span of one rule. The source
// port of a client is never looked at. Data paths pay for each different mask, so that prefix
// lengths are rounded up to few different ones: 0, 4, 8, 12, 16 of a port; 0, 8, 16, 24, 32 of an
// IPv4 address; 0, 32, 48, 64, 128 of an IPv6 address. A range asks for at most two blocks a size.

import { dropReason } from '../flow/drop-reasons.ts';
import { ctState, ethType, field, fragLater, getBytes, getNumber, ipProto } from '../flow/key.ts';
import { formatIp, type IpFamily } from '../lib/addresses.ts';
import { noClass } from './address-index.ts';
import { builtIn, Match, makeRule } from './match.ts';
import type { Direction } from './policy.ts';
import type { PolicySide, TierFamily } from './policy-side.ts';
import type { AddressIndex, PolicyStore, PortJudge } from './policy-store.ts';
import { locationFlood, register } from './registers.ts';
import { denies, type Rule, type Step } from './rule.ts';
import { portBits, portMax, type Service, type ServiceTable } from './service-table.ts';

/** Words of the key that hold what is asked for, and masks of it there. */
const ethTypeWord = 2;
const ethTypeMask = 0xffff0000;
const protocolWord = 5;
const protocolMask = 0xffff0000;
const stateWord = 7;
const stateMask = 0x5f0000;
const stateShift = 16;
const portsWord = 8;
/** First words of source and destination address, by family. */
const addressWordsOf = { 4: { source: 10, destination: 11 }, 6: { source: 12, destination: 16 } };

/** Register `receivers`: all kinds. */
export const everyReceiver = 0xffffffff;

/** EtherTypes as they stand in the upper half of their word. */
const arpType = swap16(ethType.arp);
const ipv4Type = swap16(ethType.ipv4);
const ipv6Type = swap16(ethType.ipv6);

const anyPacket = new Match();

function ruleOfAll(name: string, text: string, steps: readonly Step[]): Rule {
  const parts = { id: name, priority: 0, match: anyPacket, steps, origin: builtIn };
  return { ...makeRule('egress-policy', parts), text };
}

const arpRule = ruleOfAll('arp', 'ARP', []);
const invalidRule = ruleOfAll('invalid', 'fits no connection', [
  { kind: 'drop', reason: dropReason.ConnectionInvalid },
]);
const keptRule = ruleOfAll('kept', 'a connection that was to go on when rules changed', []);
const relatedRule = ruleOfAll('related', 'an ICMP error about a connection', []);
const receiversRule = ruleOfAll('receivers', 'each kind of receiver by itself', []);
const newReceiversRule = ruleOfAll('receivers-new', 'each kind of receiver by itself', [
  { kind: 'commit' },
]);
export class PolicyStage {
  readonly #store: PolicyStore;
  readonly #direction: Direction;
  /** Where the port is that is judged, and the address of its other side. */
  readonly #place: number;
  readonly #other: 'source' | 'destination';
  readonly #address4 = new Uint32Array(1);
  readonly #address6 = new Uint32Array(4);
  // The packet in hand.
  #key = anyPacket.key;
  #mask = anyPacket.key;
  #family: IpFamily = 4;
  #protocol = 0;
  // What was looked at: the port lies in a span, and so many bits of the address.
  #first = 0;
  #last = portMax;

  constructor(store: PolicyStore, direction: Direction) {
    this.#store = store;
    this.#direction = direction;
    const egress = direction === 'egress';
    this.#place = egress ? register.source : register.destination;
    this.#other = egress ? 'destination' : 'source';
  }

  /**
   * The rule that decides, or undefined for an open port. Every bit of `key` that was looked at is
   * set in `mask`; registers are set as above.
   */
  lookup(key: Uint32Array, mask: Uint32Array): Rule | undefined {
    this.#key = key;
    this.#mask = mask;
    const location = key[this.#place]!;
    if (location === locationFlood) return this.#judgeReceivers();
    const port = this.#store.port(location);
    return port === undefined ? undefined : this.#judge(port);
  }

  /** A replicated packet: asks one port of each kind. */
  #judgeReceivers(): Rule | undefined {
    const key = this.#key;
    const kinds = this.#store.policy.receivers.get(key[register.network]!);
    if (kinds === undefined) return undefined;
    let bits = 0;
    let rule = receiversRule;
    for (let index = 0; index < kinds.length; index += 1) {
      const port = this.#store.port(kinds[index]!);
      const verdict = port === undefined ? undefined : this.#judge(port);
      if (verdict !== undefined && denies(verdict)) continue;
      bits |= 1 << index;
      if (verdict?.steps.at(-1)?.kind === 'commit') rule = newReceiversRule;
    }
    key[register.receivers] = bits === 2 ** kinds.length - 1 ? everyReceiver : bits;
    return rule;
  }

  #judge({ policy, basics, sides, members }: PortJudge): Rule {
    const key = this.#key;
    const mask = this.#mask;
    mask[ethTypeWord] = mask[ethTypeWord]! | ethTypeMask;
    const type = key[ethTypeWord]! >>> 16;
    if (type === arpType) return arpRule;
    const last = policy.fallback[this.#direction];
    if (type !== ipv4Type && type !== ipv6Type) return last;
    this.#family = type === ipv4Type ? 4 : 6;
    mask[protocolWord] = mask[protocolWord]! | protocolMask;
    this.#protocol = (key[protocolWord]! >>> 16) & 0xff;
    const { stateful } = policy;
    const own = sides[this.#direction];
    if (key[protocolWord]! >>> 24 === fragLater) {
      const way = this.#fragment(own, members)?.rule ?? last;
      if (!stateful || !denies(way)) return way;
      const back = opposite[this.#direction];
      const reply = this.#fragment(sides[back], members)?.rule ?? policy.fallback[back];
      return denies(reply) ? way : reply;
    }
    if (stateful) mask[stateWord] = mask[stateWord]! | stateMask;
    const state = stateful ? (key[stateWord]! >>> stateShift) & 0xff : 0;
    if ((state & ctState.rel) !== 0) return relatedRule;
    const reply = (state & (ctState.rpl | ctState.inv)) === ctState.rpl;
    const port = reply ? this.#portOfRequest() : this.#port();
    this.#first = 0;
    this.#last = portMax;
    const side = reply ? sides[opposite[this.#direction]] : own;
    let rule = reply ? undefined : this.#service(basics[this.#direction], port, members)?.rule;
    if (rule === undefined && (state & ctState.inv) !== 0) rule = invalidRule;
    rule ??= this.#service(side, port, members)?.rule;
    this.#lookedAtPort(reply, port);
    rule ??= policy.fallback[reply ? opposite[this.#direction] : this.#direction];
    return (state & ctState.est) !== 0 && denies(rule) ? this.#denied(rule, state) : rule;
  }

  /** A packet of a connection that began when it was allowed, and is not any more. */
  #denied(rule: Rule, state: number): Rule {
    if ((state & ctState.kept) !== 0) return keptRule;
    return this.#protocol === ipProto.tcp ? resetOf(rule) : rule;
  }

  /** The rule of the first tier that has one; narrows the span. */
  #service(side: PolicySide, port: number, members: AddressIndex): Service | undefined {
    const tiers = this.#family === 4 ? side.four : side.six;
    for (let index = 0; index < tiers.length; index += 1) {
      const tier = tiers[index]!;
      let best: Service | undefined;
      for (let at = 0; at < tier.open.length; at += 1) {
        best = this.#better(best, tier.open[at]!, port);
      }
      if (tier.rankMax > (best?.rank ?? -1)) {
        const tables = this.#closedTables(tier, members);
        for (let at = 0; at < tables.length; at += 1) {
          best = this.#better(best, tables[at]!, port);
        }
      }
      if (best !== undefined) return best;
    }
    return undefined;
  }

  #better(best: Service | undefined, table: ServiceTable, port: number): Service | undefined {
    if (best !== undefined && table.rankMax <= best.rank) return best;
    const found = table.find(this.#protocol, port);
    if (table.first > this.#first) this.#first = table.first;
    if (table.last < this.#last) this.#last = table.last;
    if (found === undefined || (best !== undefined && found.rank <= best.rank)) return best;
    return found.sourcePort === undefined || this.#comesFrom(found.sourcePort) ? found : best;
  }

  /** What lets a later fragment pass: any rule that may let its first fragment pass. */
  #fragment(side: PolicySide, members: AddressIndex): Service | undefined {
    const tiers = this.#family === 4 ? side.four : side.six;
    for (const tier of tiers) {
      let best: Service | undefined;
      const tables = tier.rankMax < 0 ? [] : this.#closedTables(tier, members);
      for (let at = 0; at < tier.open.length + tables.length; at += 1) {
        const table = tier.open[at] ?? tables[at - tier.open.length]!;
        const found = table.fragment(this.#protocol);
        if (found !== undefined && found.rank > (best?.rank ?? -1)) best = found;
      }
      if (best !== undefined) return best;
    }
    return undefined;
  }

  /** Tables of the lists that hold the other side's address. */
  #closedTables(tier: TierFamily, members: AddressIndex): readonly ServiceTable[] {
    let listClass = noClass;
    let memberClass = noClass;
    const address = this.#loadAddress();
    if (tier.asksLists) {
      const trie = this.#store.lists.trie(this.#family);
      trie.find(address);
      this.#lookedAtAddress(trie.bits);
      listClass = trie.class;
    }
    if (tier.asksMembers) {
      const trie = members.trie(this.#family);
      trie.find(address);
      this.#lookedAtAddress(trie.bits);
      memberClass = trie.class;
    }
    return tier.closed(listClass, memberClass);
  }

  /** The address of the other side, in words of host order. */
  #loadAddress(): Uint32Array {
    const key = this.#key;
    const first = addressWordsOf[this.#family][this.#other];
    if (this.#family === 4) {
      this.#address4[0] = swap32(key[first]!);
      return this.#address4;
    }
    for (let index = 0; index < 4; index += 1) {
      this.#address6[index] = swap32(key[first + index]!);
    }
    return this.#address6;
  }

  #lookedAtAddress(bits: number): void {
    const mask = this.#mask;
    const first = addressWordsOf[this.#family][this.#other];
    const steps = this.#family === 4 ? addressSteps4 : addressSteps6;
    let rounded = 0;
    for (let at = 0; rounded < bits; at += 1) rounded = steps[at]!;
    for (let index = 0; index * 32 < rounded; index += 1) {
      // The bits of whole bytes: the low ones of the word, which has the order of the wire.
      const left = rounded - index * 32;
      mask[first + index] = mask[first + index]! | (left >= 32 ? 0xffffffff : (1 << left) - 1);
    }
  }

  /** Destination port, or ICMP type and code as one number; 0 where there is neither. */
  #port(): number {
    const ports = this.#key[portsWord]!;
    if (this.#isIcmp) return ((ports >>> 8) & 0xff) * 256 + (ports >>> 24);
    return hasPorts(this.#protocol) ? swap16(ports >>> 16) : 0;
  }

  /** The same of the packet that this one answers. */
  #portOfRequest(): number {
    const ports = this.#key[portsWord]!;
    if (this.#isIcmp) return requestOf(this.#family, (ports >>> 8) & 0xff) * 256;
    return hasPorts(this.#protocol) ? swap16(ports & 0xffff) : 0;
  }

  get #isIcmp(): boolean {
    return this.#protocol === (this.#family === 4 ? ipProto.icmp : ipProto.icmpv6);
  }

  #lookedAtPort(reply: boolean, port: number): void {
    if (this.#first === 0 && this.#last === portMax) return;
    const mask = this.#mask;
    const bits = portBits(port, this.#first, this.#last);
    if (this.#isIcmp) {
      // Type and code are the second bytes of their fields.
      const looked = bits <= 8 || reply ? 0xff00 : 0xff00ff00;
      mask[portsWord] = mask[portsWord]! | looked;
    } else if (hasPorts(this.#protocol)) {
      const rounded = (bits + 3) & ~3;
      const looked = swap16((0xffff << (16 - rounded)) & 0xffff);
      mask[portsWord] = mask[portsWord]! | (reply ? looked : looked << 16);
    }
  }

  /** Looks at the L4 source port, which is done for what basics ask for only. */
  #comesFrom(port: number): boolean {
    this.#mask[portsWord] = this.#mask[portsWord]! | 0xffff;
    return swap16(this.#key[portsWord]! & 0xffff) === port;
  }
}

const resets = new WeakMap<Rule, Rule>();

/** The rule as it meets established TCP: who speaks gets a reset, so that nobody waits in vain. */
function resetOf(rule: Rule): Rule {
  const last = rule.steps.at(-1);
  if (last?.kind !== 'drop' || last.reason !== dropReason.AclDeny) return rule;
  let reset = resets.get(rule);
  if (reset === undefined) {
    const text = `${rule.text ?? rule.id}; established TCP is reset`;
    reset = { ...rule, text, steps: [{ kind: 'drop', reason: dropReason.AclReject }] };
    resets.set(rule, reset);
  }
  return reset;
}

/** A packet as the rules of a firewall see it: for people, who ask why. */
export interface JudgedPacket {
  /** Of the rules that judge it; for a reply, the other one than the stage's. */
  readonly direction: Direction;
  readonly family: IpFamily;
  readonly protocol: number;
  /** Destination port, or ICMP type * 256 + code, of the packet or of what it answers. */
  readonly port: number;
  /** The other side. */
  readonly address: Uint8Array;
  readonly remote: string;
}

/** Undefined: not IP, so that no rule is about it. */
export function judgedPacket(key: Uint32Array, stage: Direction): JudgedPacket | undefined {
  const type = getNumber(key, 0, field.eth_type);
  if (type !== ethType.ipv4 && type !== ethType.ipv6) return undefined;
  const family: IpFamily = type === ethType.ipv4 ? 4 : 6;
  const protocol = getNumber(key, 0, field.ip_proto);
  const state = getNumber(key, 0, field.ct_state);
  const reply = (state & (ctState.rpl | ctState.inv)) === ctState.rpl;
  const [from, to] = family === 4 ? [field.ip_src, field.ip_dst] : [field.ipv6_src, field.ipv6_dst];
  const address = getBytes(key, 0, stage === 'egress' ? to : from);
  const [source, destination] = [field.tp_src, field.tp_dst].map((of) => getNumber(key, 0, of));
  const icmp = protocol === (family === 4 ? ipProto.icmp : ipProto.icmpv6);
  const asked = reply ? requestOf(family, source!) : source!;
  const icmpPort = asked * 256 + (reply ? 0 : destination!);
  return {
    direction: reply ? opposite[stage] : stage,
    family,
    protocol,
    port: icmp ? icmpPort : reply ? source! : destination!,
    address,
    remote: formatIp(address),
  };
}

/** Prefix lengths that addresses are looked at by. */
const addressSteps4 = [8, 16, 24, 32];
const addressSteps6 = [32, 48, 64, 128];

const opposite: Readonly<Record<Direction, Direction>> = { ingress: 'egress', egress: 'ingress' };

function hasPorts(protocol: number): boolean {
  return protocol === ipProto.tcp || protocol === ipProto.udp || protocol === ipProto.sctp;
}

/** Type of the ICMP message that one of this type answers; the type itself if it answers none. */
function requestOf(family: IpFamily, type: number): number {
  if (family === 6) return type === 129 ? 128 : type;
  if (type === 0) return 8;
  return type === 14 || type === 16 || type === 18 ? type - 1 : type;
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

function swap32(value: number): number {
  return ((swap16(value & 0xffff) << 16) | swap16(value >>> 16)) >>> 0;
}
