// model/check-security.ts — what the fields of groups, address sets and ACLs mean together.
//
// A rule that can never match is refused rather than kept: who writes `protocol: icmp` with an
// IPv6 remote, or ports without a protocol that has them, believes in a rule that is not there.

import { type Checked, uniqueEntries } from './checked.ts';
import type { Rule } from './document.ts';
import type { Path } from './source.ts';

const remoteFields = ['remote', 'remoteGroup', 'remoteSet'] as const;

/** Numbers of TCP, UDP and SCTP (IANA), for rules that give the number instead of the name. */
const protocolsWithPorts: readonly Rule['protocol'][] = ['tcp', 'udp', 'sctp', 6, 17, 132];

/** Numbers of ICMP for IPv4 and IPv6, likewise. */
const icmpProtocols: readonly Rule['protocol'][] = ['icmp', 'icmpv6', 1, 58];

/** Reports dangling names and rules that contradict themselves. */
export function checkSecurity(checked: Checked): void {
  for (const [index, group] of checked.document.securityGroups.entries()) {
    for (const [entry, rule] of group.rules.entries()) {
      checkRule(checked, rule, ['securityGroups', index, 'rules', entry]);
    }
  }
  for (const [index, set] of checked.document.addressSets.entries()) {
    uniqueEntries(checked, set.addresses, ['addressSets', index, 'addresses']);
  }
  for (const [index, acl] of checked.document.acls.entries()) {
    checkRule(checked, acl, ['acls', index]);
    for (const kind of ['networks', 'securityGroups'] as const) {
      uniqueEntries(checked, acl[kind], ['acls', index, kind]);
      for (const [entry, name] of acl[kind].entries()) {
        checked.known(kind, name, ['acls', index, kind, entry]);
      }
    }
  }
  checkPortGroups(checked);
}

/** A port tracks connections or it does not: groups of both kinds contradict each other. */
function checkPortGroups({ document, report }: Checked): void {
  if (document.securityGroups.every((group) => group.stateful)) return;
  const stateful = new Map(document.securityGroups.map((group) => [group.name, group.stateful]));
  for (const [index, { securityGroups }] of document.ports.entries()) {
    const first = securityGroups[0];
    if (first === undefined) continue;
    const kind = (group: string) => (stateful.get(group) === false ? 'stateless' : 'stateful');
    for (const [entry, name] of securityGroups.entries()) {
      if (!stateful.has(name) || kind(name) === kind(first)) continue;
      const message = `group "${name}" is ${kind(name)}, "${first}" is ${kind(first)}`;
      report(['ports', index, 'securityGroups', entry], message, `a ${kind(first)} group`);
    }
  }
}

function checkRule(checked: Checked, rule: Rule, path: Path): void {
  const given = remoteFields.filter((field) => rule[field] !== undefined);
  const [first, second] = given;
  if (first !== undefined && second !== undefined) {
    const message = `the rule has ${first} already`;
    checked.report([...path, second], message, `one of ${remoteFields.join(', ')}`);
  }
  if (rule.remoteGroup !== undefined) {
    checked.known('securityGroups', rule.remoteGroup, [...path, 'remoteGroup']);
  }
  if (rule.remoteSet !== undefined) {
    checked.known('addressSets', rule.remoteSet, [...path, 'remoteSet']);
  }
  if (rule.ports !== undefined && !protocolsWithPorts.includes(rule.protocol)) {
    const message = `protocol ${rule.protocol} has no ports`;
    checked.report([...path, 'ports'], message, 'no ports, or protocol tcp, udp or sctp');
  }
  if (rule.icmpType !== undefined && !icmpProtocols.includes(rule.protocol)) {
    const message = `protocol ${rule.protocol} has no ICMP types`;
    checked.report([...path, 'icmpType'], message, 'no icmpType, or protocol icmp or icmpv6');
  }
  if (rule.icmpCode !== undefined && rule.icmpType === undefined) {
    const message = 'a code means something only together with its type';
    checked.report([...path, 'icmpCode'], message, 'icmpType beside it, or no icmpCode');
  }
  if (rule.remote !== undefined) checkFamily(checked, rule, rule.remote, path);
}

function checkFamily(checked: Checked, rule: Rule, remote: string, path: Path): void {
  const ipv6 = remote.includes(':');
  if (ipv6 && (rule.protocol === 'icmp' || rule.protocol === 1)) {
    const message = `protocol ${rule.protocol} is of IPv4, ${remote} of IPv6`;
    checked.report([...path, 'remote'], message, 'an IPv4 remote, or protocol icmpv6');
  }
  if (!ipv6 && (rule.protocol === 'icmpv6' || rule.protocol === 58)) {
    const message = `protocol ${rule.protocol} is of IPv6, ${remote} of IPv4`;
    checked.report([...path, 'remote'], message, 'an IPv6 remote, or protocol icmp');
  }
}
