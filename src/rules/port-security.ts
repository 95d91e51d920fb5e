// rules/port-security.ts — port-mac, port-address, port-nd: a port speaks for itself only.
//
// A port with security sends from its own MACs, and from its own addresses: those of the model,
// those of its address pairs, and the link-local address of each of its MACs. Without an address in
// the model only the MAC is checked, as in OVN. What a host needs before it has an address stays
// possible: DHCP from 0.0.0.0, duplicate address detection of its own addresses (ARP probes, ND
// from ::), router solicitations and multicast listener reports from ::. ARP and ND may claim no
// MAC but the port's. Neutron's rules are the model; its users expect no others.

import { dropReason } from '../flow/drop-reasons.ts';
import { ethType, ipProto } from '../flow/key.ts';
import { type Cidr, formatCidr, formatMac, prefixMask } from '../lib/addresses.ts';
import { Match, RuleList } from '../pipeline/match.ts';
import type { Origin, Step } from '../pipeline/rule.ts';
import type { StageName } from '../pipeline/stages.ts';
import { linkLocalOf, type PortView, type Topology } from './topology.ts';

const solicitation = 135;
const advertisement = 136;
const routerSolicitation = 133;
/** Messages that name the MAC of their sender. */
const senderTypes = [routerSolicitation, 134, solicitation];
/** Multicast listener report, done, and report of version 2 (RFC 2710, RFC 3810). */
const listenerTypes = [131, 132, 143];
const unspecified4 = new Uint8Array(4);
const unspecified6 = new Uint8Array(16);
const limitedBroadcast = Uint8Array.of(255, 255, 255, 255);
const noMac = new Uint8Array(6);

/** A MAC of a port with a prefix that may be used with it. */
interface Claim {
  readonly mac: Uint8Array;
  readonly prefix: Cidr;
  readonly origin: Origin;
  /** Tells the claims of one port apart, and stays when others change. */
  readonly name: string;
}

export function portSecurityRules(topology: Topology): RuleList {
  const list = new RuleList();
  for (const network of topology.networks) {
    for (const view of network.localPorts) {
      if (view.port.portSecurity && view.device !== 0) new PortRules(list, view).add();
    }
  }
  return list;
}

/** Writes the rules of one port. */
class PortRules {
  readonly #list: RuleList;
  readonly #view: PortView;
  readonly #origin: Origin;
  readonly #claims: readonly Claim[];

  constructor(list: RuleList, view: PortView) {
    this.#list = list;
    this.#view = view;
    const { name } = view.port;
    this.#origin = { object: `port ${name}`, path: `ports[${name}].portSecurity` };
    this.#claims = claimsOf(view);
  }

  add(): void {
    this.#addMacs();
    for (const mac of this.#view.macs) this.#addArpWithoutAddress(mac);
    if (this.#claims.length > 0) {
      for (const claim of this.#claims) {
        if (claim.prefix.family === 4) this.#addIpv4(claim);
        else this.#addIpv6(claim);
      }
      for (const mac of this.#view.macs) this.#addLinkLocal(mac);
      this.#addUnspecified();
      this.#deny('port-address', 'ipv4', this.#ether(ethType.ipv4), dropReason.SpoofedIp);
      this.#deny('port-address', 'ipv6', this.#ether(ethType.ipv6), dropReason.SpoofedIp);
    }
    this.#deny('port-address', 'arp', this.#ether(ethType.arp), dropReason.SpoofedArp);
    this.#addSenders();
    this.#addAdvertisements();
  }

  #from(): Match {
    return new Match().register('source', this.#view.location);
  }

  #ether(type: number): Match {
    return this.#from().number('eth_type', type);
  }

  #icmp6(type: number): Match {
    return this.#ether(ethType.ipv6).number('ip_proto', ipProto.icmpv6).number('tp_src', type);
  }

  #allow(stage: StageName, name: string, match: Match, origin = this.#origin): void {
    const id = `${this.#view.port.name}/${name}`;
    this.#list.add(stage, { id, priority: 100, match, steps: [], origin });
  }

  #deny(stage: StageName, name: string, match: Match, reason: number): void {
    const id = `${this.#view.port.name}/no-${name}`;
    const steps: Step[] = [{ kind: 'drop', reason }];
    this.#list.add(stage, { id, priority: 50, match, steps, origin: this.#origin });
  }

  #addMacs(): void {
    for (const mac of this.#view.macs) {
      this.#allow('port-mac', formatMac(mac), this.#from().bytes('eth_src', mac));
    }
    this.#deny('port-mac', 'mac', this.#from(), dropReason.SpoofedMac);
  }

  /** Probes; and for a port whose addresses are not known, any sender address. */
  #addArpWithoutAddress(mac: Uint8Array): void {
    const match = this.#ether(ethType.arp).bytes('eth_src', mac).bytes('arp_sha', mac);
    if (this.#claims.length > 0) match.bytes('ip_src', unspecified4);
    this.#allow('port-address', `arp-probe/${formatMac(mac)}`, match);
  }

  #addIpv4({ mac, prefix, name, origin }: Claim): void {
    const mask = prefixMask(prefix.prefix, 4);
    const source = (type: number) =>
      this.#ether(type).bytes('eth_src', mac).bytes('ip_src', prefix.bytes, mask);
    this.#allow('port-address', `ipv4/${name}`, source(ethType.ipv4), origin);
    const arp = source(ethType.arp).bytes('arp_sha', mac);
    this.#allow('port-address', `arp/${name}`, arp, origin);
  }

  #addIpv6({ mac, prefix, name, origin }: Claim): void {
    const mask = prefixMask(prefix.prefix, 16);
    const match = this.#ether(ethType.ipv6)
      .bytes('eth_src', mac)
      .bytes('ipv6_src', prefix.bytes, mask);
    this.#allow('port-address', `ipv6/${name}`, match, origin);
    const probe = this.#icmp6(solicitation)
      .bytes('eth_src', mac)
      .bytes('ipv6_src', unspecified6)
      .bytes('nd_target', prefix.bytes, mask);
    this.#allow('port-address', `dad/${name}`, probe, origin);
  }

  #addLinkLocal(mac: Uint8Array): void {
    const address = linkLocalOf(mac);
    const bytes = { mac, origin: this.#origin, name: `link-local/${formatMac(mac)}` };
    this.#addIpv6({ ...bytes, prefix: { family: 6, bytes: address, prefix: 128 } });
  }

  /** DHCP, router solicitation and listener reports of a port that has no address yet. */
  #addUnspecified(): void {
    const dhcp = this.#ether(ethType.ipv4)
      .bytes('ip_src', unspecified4)
      .bytes('ip_dst', limitedBroadcast)
      .number('ip_proto', ipProto.udp)
      .number('tp_src', 68)
      .number('tp_dst', 67);
    this.#allow('port-address', 'dhcp', dhcp);
    for (const type of [routerSolicitation, ...listenerTypes]) {
      const match = this.#icmp6(type).bytes('ipv6_src', unspecified6);
      this.#allow('port-address', `unspecified/${type}`, match);
    }
  }

  /** Router and neighbour solicitations name the MAC of the port or none (RFC 4861, section 4). */
  #addSenders(): void {
    for (const type of senderTypes) {
      for (const mac of [...this.#view.macs, noMac]) {
        const match = this.#icmp6(type).bytes('arp_sha', mac);
        this.#allow('port-nd', `sender/${type}/${formatMac(mac)}`, match);
      }
      this.#deny('port-nd', `sender/${type}`, this.#icmp6(type), dropReason.SpoofedArp);
    }
  }

  /** An advertisement is about an address of the port, and names its MAC or none. */
  #addAdvertisements(): void {
    const targets = this.#claims.filter((claim) => claim.prefix.family === 6);
    const add = (name: string, mac: Uint8Array, prefix?: Cidr) => {
      for (const named of [mac, noMac]) {
        const match = this.#icmp6(advertisement).bytes('arp_sha', named);
        if (prefix) match.bytes('nd_target', prefix.bytes, prefixMask(prefix.prefix, 16));
        this.#allow('port-nd', `advertise/${name}/${formatMac(named)}`, match);
      }
    };
    for (const claim of targets) add(claim.name, claim.mac, claim.prefix);
    for (const mac of this.#view.macs) {
      const prefix: Cidr = { family: 6, bytes: linkLocalOf(mac), prefix: 128 };
      if (this.#claims.length === 0) add(`any/${formatMac(mac)}`, mac);
      else add(`link-local/${formatMac(mac)}`, mac, prefix);
    }
    const any = this.#icmp6(advertisement);
    this.#deny('port-nd', 'advertise', any, dropReason.SpoofedArp);
  }
}

/** Own addresses with the own MAC, pairs as they are given. */
function claimsOf(view: PortView): readonly Claim[] {
  const { name } = view.port;
  const claims = new Map<string, Claim>();
  const add = (mac: Uint8Array, prefix: Cidr, path: string) => {
    const claim = `${formatMac(mac)}/${formatCidr(prefix)}`;
    if (claims.has(claim)) return;
    const origin = { object: `port ${name}`, path: `ports[${name}].${path}` };
    claims.set(claim, { mac, prefix, origin, name: claim });
  };
  for (const bytes of view.ips) {
    const family = bytes.length === 4 ? 4 : 6;
    add(view.mac, { family, bytes, prefix: bytes.length * 8 }, 'ips');
  }
  if (view.ips.length > 0) {
    for (const pair of view.pairs) add(pair.mac, pair.prefix, 'allowedAddressPairs');
  }
  return [...claims.values()];
}
