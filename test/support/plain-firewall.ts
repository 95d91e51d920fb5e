// support/plain-firewall.ts — what a firewall allows, found out the slow and obvious way.
//
// Reads the document rule by rule and address by address; no table, no mask, no state. The fast way
// is held against it, so it shares nothing with src/pipeline and src/rules but the document.

import { cidrContains, parseIp, tryParseIpOrCidr } from '../../src/lib/addresses.ts';
import type { Acl, Direction, Document, Port, Rule } from '../../src/model/document.ts';

/** A packet as a rule sees it, seen from the one who began: requests, not replies. */
export interface PlainPacket {
  /** The other side. */
  readonly remote: Uint8Array;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Of ICMP and ICMPv6. */
  readonly type: number;
  readonly code: number;
  /** A fragment behind the first: nobody sees ports in it. */
  readonly laterFragment: boolean;
}

const protocols: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 };
const withPorts = [6, 17, 132];

/** Whether the port may send (egress) or receive (ingress) the packet. */
export function allows(
  document: Document,
  port: Port,
  direction: Direction,
  packet: PlainPacket,
): boolean {
  const basic = packet.laterFragment ? undefined : basicVerdict(port, direction, packet);
  if (isOpen(document, port)) return true;
  if (basic !== undefined) return basic;
  const [acl] = aclsOf(document, port)
    .filter((one) => !packet.laterFragment || one.action === 'allow' || isForEveryPort(one))
    .filter((one) => matches(document, port, one, direction, packet))
    .sort((one, other) => rankOf(other) - rankOf(one));
  if (acl !== undefined) return acl.action === 'allow';
  if (port.securityGroups.length === 0) return true;
  return document.securityGroups
    .filter(({ name }) => port.securityGroups.includes(name))
    .some(({ rules }) => rules.some((rule) => matches(document, port, rule, direction, packet)));
}

/** Neither groups nor ACLs have anything to say about the port. */
export function isOpen(document: Document, port: Port): boolean {
  return port.securityGroups.length + aclsOf(document, port).length === 0;
}

function aclsOf({ acls }: Document, { network, securityGroups }: Port): Acl[] {
  return acls.filter(
    (acl) =>
      acl.networks.length + acl.securityGroups.length === 0 ||
      acl.networks.includes(network) ||
      acl.securityGroups.some((name) => securityGroups.includes(name)),
  );
}

function rankOf({ priority, action }: Acl): number {
  return priority * 3 + ['allow', 'reject', 'drop'].indexOf(action);
}

function isForEveryPort({ ports, icmpType }: Acl): boolean {
  return (ports === undefined || ports === '0-65535') && icmpType === undefined;
}

function matches(
  document: Document,
  port: Port,
  rule: Rule,
  direction: Direction,
  packet: PlainPacket,
): boolean {
  return (
    rule.direction === direction &&
    protocolMatches(rule, packet) &&
    (packet.laterFragment || serviceMatches(rule, packet)) &&
    remoteMatches(document, port, rule, packet.remote)
  );
}

function protocolMatches(rule: Rule, { protocol, remote }: PlainPacket): boolean {
  if (rule.protocol === 'any') return true;
  const number = rule.protocol === 'sctp' ? 132 : (protocols[rule.protocol] ?? rule.protocol);
  if (number === 1 && remote.length !== 4) return false;
  if (number === 58 && remote.length !== 16) return false;
  return number === protocol;
}

function serviceMatches(rule: Rule, packet: PlainPacket): boolean {
  if (rule.icmpType !== undefined && rule.icmpType !== packet.type) return false;
  if (rule.icmpCode !== undefined && rule.icmpCode !== packet.code) return false;
  if (rule.ports === undefined) return true;
  const [first = 0, last = first] = rule.ports.split('-').map(Number);
  return packet.destinationPort >= first && packet.destinationPort <= last;
}

function remoteMatches(document: Document, port: Port, rule: Rule, remote: Uint8Array): boolean {
  if (rule.remote !== undefined) return within(rule.remote, remote);
  if (rule.remoteSet !== undefined) {
    const set = document.addressSets.find(({ name }) => name === rule.remoteSet);
    return set?.addresses.some((text) => within(text, remote)) ?? false;
  }
  const { remoteGroup } = rule;
  if (remoteGroup === undefined) return true;
  return document.ports
    .filter((other) => other.securityGroups.includes(remoteGroup))
    .filter((other) => joined(document, port.network, other.network))
    .some(({ ips, allowedAddressPairs }) =>
      [...ips, ...allowedAddressPairs.map(({ ip }) => ip)].some((text) => within(text, remote)),
    );
}

function within(text: string, address: Uint8Array): boolean {
  return cidrContains(tryParseIpOrCidr(text)!, address);
}

/** Whether a way leads from one network to another, by routers. */
function joined(document: Document, from: string, to: string): boolean {
  const reached = new Set([from]);
  const networkOf = (name: string) => document.subnets.find((one) => one.name === name)!.network;
  for (let count = 0; count !== reached.size; ) {
    count = reached.size;
    for (const { subnets } of document.routers) {
      const networks = subnets.map(networkOf);
      if (networks.some((name) => reached.has(name)))
        for (const name of networks) reached.add(name);
    }
  }
  return reached.has(to);
}

/** What hosts need, and the roles that a port may not play. */
function basicVerdict(port: Port, direction: Direction, packet: PlainPacket): boolean | undefined {
  const { protocol, sourcePort, destinationPort, type, remote } = packet;
  const six = remote.length === 16;
  const between = (from: number, to: number) =>
    protocol === 17 && sourcePort === from && destinationPort === to;
  const [client, server] = six ? [546, 547] : [68, 67];
  const out = direction === 'egress';
  if (between(client, server)) return out ? true : undefined;
  const mayPlay = !port.portSecurity || port.securityGroups.length === 0;
  if (between(server, client)) return out ? (mayPlay ? undefined : false) : true;
  if (!six || protocol !== 58) return undefined;
  if (out && type === 134) return mayPlay ? undefined : false;
  const both = [130, 131, 132, 143, 135, 136];
  return [...both, out ? 133 : 134].includes(type) ? true : undefined;
}

/** The packet that an ICMP answer answers, by type; the type itself otherwise. */
export function requestType(type: number, ipv6: boolean): number {
  const requests: Readonly<Record<number, number>> = ipv6
    ? { 129: 128 }
    : { 0: 8, 14: 13, 16: 15, 18: 17 };
  return requests[type] ?? type;
}

/** Whether a rule could have anything to do with ports. */
export const hasPorts = (protocol: number): boolean => withPorts.includes(protocol);

export const bytesOf = (text: string): Uint8Array => parseIp(text);
