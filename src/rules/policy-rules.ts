// rules/policy-rules.ts — rules of groups and ACLs, and those that all firewalls begin with.
//
// A rule of the document becomes one rule of the policy, for the families of addresses that it can
// be about: ICMP is of IPv4, ICMPv6 of IPv6, a prefix of its own family. Its id and text say what
// it matches, its path where it stands. The basics follow Neutron's firewall drivers.

import { dropReason } from '../flow/drop-reasons.ts';
import { ipProto } from '../flow/key.ts';
import type { IpFamily } from '../lib/addresses.ts';
import type { Acl, Rule as ModelRule, SecurityGroup } from '../model/document.ts';
import { tryParsePortRange } from '../model/fields.ts';
import { builtIn, Match, makeRule } from '../pipeline/match.ts';
import {
  type Direction,
  everyone,
  groupList,
  type PolicyRule,
  type RuleBlock,
  ruleBlock,
  setList,
} from '../pipeline/policy.ts';
import type { Origin, Rule, Step } from '../pipeline/rule.ts';
import { portMax, type Service } from '../pipeline/service-table.ts';
import { basicsBlock, rolesBlock } from './firewall.ts';

const anyPacket = new Match();

const protocolNumbers: Readonly<Record<string, number>> = { ...ipProto };

/** The rules of a group, in the order of the document. */
export function groupRules(group: SecurityGroup): PolicyRule[] {
  const steps: readonly Step[] = group.stateful ? [{ kind: 'commit' }] : [];
  return group.rules.map((rule, index) => ({
    ...matchOf(rule),
    rank: 0,
    allow: true,
    rule: ruleOf({
      direction: rule.direction,
      name: `group ${group.name}`,
      text: textOf(rule),
      steps,
      origin: {
        object: `security group ${group.name}`,
        path: `securityGroups[${group.name}].rules[${index}]`,
      },
    }),
  }));
}

/** Of equal priorities: drop before reject before allow. */
const severity = { allow: 0, reject: 1, drop: 2 } as const;

/** The rules of ACLs, for ports that track connections or that do not. */
export function aclRules(acls: readonly Acl[], stateful: boolean): PolicyRule[] {
  const steps: Readonly<Record<Acl['action'], readonly Step[]>> = {
    allow: stateful ? [{ kind: 'commit' }] : [],
    reject: [{ kind: 'drop', reason: dropReason.AclReject }],
    drop: [{ kind: 'drop', reason: dropReason.AclDeny }],
  };
  return acls.map((acl) => ({
    ...matchOf(acl),
    rank: acl.priority * 4 + severity[acl.action],
    allow: acl.action === 'allow',
    rule: {
      ...ruleOf({
        direction: acl.direction,
        name: `ACL ${acl.name}`,
        text: `${acl.action} ${textOf(acl)}`,
        steps: steps[acl.action],
        origin: { object: `ACL ${acl.name}`, path: `acls[${acl.name}]` },
      }),
      priority: acl.priority,
    },
  }));
}

interface RuleParts {
  readonly direction: Direction;
  /** Object that the rule belongs to. */
  readonly name: string;
  readonly text: string;
  readonly steps: readonly Step[];
  readonly origin: Origin;
}

function ruleOf({ direction, name, text, steps, origin }: RuleParts): Rule {
  const id = `${name}/${text}`;
  const parts = { id, priority: 0, match: anyPacket, steps, origin };
  return { ...makeRule(`${direction}-policy`, parts), text };
}

type RuleMatch = Pick<PolicyRule, 'direction' | 'protocol' | 'first' | 'last' | 'remote'>;

/** What a rule of the document matches. */
function matchOf(rule: ModelRule): RuleMatch {
  const protocol = protocolOf(rule.protocol);
  const families = ([4, 6] as const).filter((family) => fits(rule, protocol, family));
  const list = listOf(rule);
  return {
    direction: rule.direction,
    protocol,
    ...rangeOf(rule),
    remote: Object.fromEntries(families.map((family) => [family, list])),
  };
}

function protocolOf(protocol: ModelRule['protocol']): number | undefined {
  return typeof protocol === 'number' ? protocol : protocolNumbers[protocol];
}

/** Whether the rule can match packets of the family. */
function fits({ remote }: ModelRule, protocol: number | undefined, family: IpFamily): boolean {
  if (protocol === ipProto.icmp && family === 6) return false;
  if (protocol === ipProto.icmpv6 && family === 4) return false;
  return remote === undefined || remote.includes(':') === (family === 6);
}

/** Name of the address list of the other side. */
function listOf({ remote, remoteGroup, remoteSet }: ModelRule): string {
  if (remoteGroup !== undefined) return groupList(remoteGroup);
  if (remoteSet !== undefined) return setList(remoteSet);
  return remote === undefined || remote.endsWith('/0') ? everyone : remote;
}

/** Ports; or ICMP types and codes, type * 256 + code. */
function rangeOf({ ports, icmpType, icmpCode }: ModelRule): Pick<Service, 'first' | 'last'> {
  if (icmpType !== undefined) {
    const first = icmpType * 256 + (icmpCode ?? 0);
    return { first, last: icmpCode === undefined ? first + 255 : first };
  }
  const range = ports === undefined ? undefined : tryParsePortRange(ports);
  return range ?? { first: 0, last: portMax };
}

/** What the rule says, in a line. */
function textOf(rule: ModelRule): string {
  const { direction, protocol, ports, icmpType, icmpCode, remote, remoteGroup, remoteSet } = rule;
  const words = [direction, `${protocol}`];
  if (ports !== undefined) words.push(ports);
  if (icmpType !== undefined) words.push(`type ${icmpType}`);
  if (icmpCode !== undefined) words.push(`code ${icmpCode}`);
  words.push(direction === 'ingress' ? 'from' : 'to');
  if (remoteGroup !== undefined) words.push(`group ${remoteGroup}`);
  else if (remoteSet !== undefined) words.push(`set ${remoteSet}`);
  else words.push(remote ?? 'anyone');
  return words.join(' ');
}

/** A service that hosts need, or that ordinary hosts do not offer. */
interface Basic {
  readonly text: string;
  readonly direction: Direction;
  readonly family: IpFamily;
  readonly protocol: number;
  /** Destination port, or ICMPv6 type. */
  readonly port: number;
  readonly sourcePort?: number;
}

const { udp, icmpv6 } = ipProto;
const dhcp = { family: 4, protocol: udp } as const;
const dhcpv6 = { family: 6, protocol: udp } as const;
const nd = { family: 6, protocol: icmpv6 } as const;
/** Multicast listener query, report, done (RFC 2710), and report of version 2 (RFC 3810). */
const listenerTypes = [130, 131, 132, 143];
const [routerSolicitation, routerAdvertisement, solicitation, advertisement] = [133, 134, 135, 136];
const sentTypes = [...listenerTypes, routerSolicitation, solicitation, advertisement];
const receivedTypes = [...listenerTypes, routerAdvertisement, solicitation, advertisement];

const needs: readonly Basic[] = [
  { ...dhcp, text: 'DHCP request', direction: 'egress', port: 67, sourcePort: 68 },
  { ...dhcp, text: 'DHCP answer', direction: 'ingress', port: 68, sourcePort: 67 },
  { ...dhcpv6, text: 'DHCPv6 request', direction: 'egress', port: 547, sourcePort: 546 },
  { ...dhcpv6, text: 'DHCPv6 answer', direction: 'ingress', port: 546, sourcePort: 547 },
  ...sentTypes.map((port) => {
    return { ...nd, text: `ICMPv6 type ${port} sent`, direction: 'egress', port } as const;
  }),
  ...receivedTypes.map((port) => {
    return { ...nd, text: `ICMPv6 type ${port} received`, direction: 'ingress', port } as const;
  }),
];

const roles: readonly Basic[] = [
  { ...dhcp, text: 'DHCP server', direction: 'egress', port: 68, sourcePort: 67 },
  { ...dhcpv6, text: 'DHCPv6 server', direction: 'egress', port: 546, sourcePort: 547 },
  { ...nd, text: 'IPv6 router', direction: 'egress', port: routerAdvertisement },
];

function basicRules(list: readonly Basic[], allow: boolean): PolicyRule[] {
  const steps: Step[] = allow ? [] : [{ kind: 'drop', reason: dropReason.AclDeny }];
  return list.map(({ text, direction, family, protocol, port, sourcePort }) => ({
    direction,
    protocol,
    ...(protocol === icmpv6
      ? { first: port * 256, last: port * 256 + 255 }
      : { first: port, last: port }),
    ...(sourcePort === undefined ? {} : { sourcePort }),
    remote: { [family]: everyone },
    rank: 0,
    allow,
    rule: ruleOf({ direction, name: 'basics', text, steps, origin: builtIn }),
  }));
}

/** Blocks that are the same on every host, by name. */
export const basicBlocks: ReadonlyMap<string, RuleBlock> = new Map([
  [basicsBlock, ruleBlock(basicRules(needs, true))],
  [rolesBlock, ruleBlock(basicRules(roles, false))],
]);
