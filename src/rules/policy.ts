// rules/policy.ts — security groups, ACLs and address sets as a policy of the pipeline.
//
// Only what local ports use is compiled: their groups and ACLs, and of those the lists of addresses
// that rules refer to. A group as the other side is the addresses of its ports, wherever they are,
// within the domain of the judged port: networks that routers join, where an address means one
// thing. What has not changed in the document is the same object here as the last time, which is
// how the pipeline finds what is left to do (policy-store.ts).

import { dropReason } from '../flow/drop-reasons.ts';
import type { Acl, AddressSet, Document, SecurityGroup } from '../model/document.ts';
import { Match, makeRule } from '../pipeline/match.ts';
import {
  type AddressList,
  type Direction,
  groupList,
  type Policy,
  type PortPolicy,
  type RuleBlock,
  ruleBlock,
  setList,
} from '../pipeline/policy.ts';
import type { Rule } from '../pipeline/rule.ts';
import { aclBlock, aclScope, groupBlock } from './firewall.ts';
import { aclRules, basicBlocks, groupRules } from './policy-rules.ts';
import type { PortView, Topology } from './topology.ts';

const anyPacket = new Match();

/** Rules of groups, and lists of sets, by the object of the document that they were made of. */
const groupBlocks = new WeakMap<SecurityGroup, RuleBlock>();
const setLists = new WeakMap<AddressSet, AddressList>();
/** The ACLs that a block was made of. */
const aclsOfBlock = new WeakMap<RuleBlock, readonly Acl[]>();

/** The policy of this host; parts of `before` that say the same are taken over. */
export function policyOf(document: Document, topology: Topology, before: Policy): Policy {
  const views = topology.networks.flatMap(({ localPorts }) => localPorts);
  const blocks = blocksOf(document, views, before);
  const wanted = new Set<string>();
  for (const { lists } of blocks.values()) for (const list of lists) wanted.add(list);
  const policy: Policy = {
    blocks,
    lists: listsOf(document, wanted),
    members: membersOf(document, topology, wanted, before),
    ports: portsOf(views, before),
    receivers: receiversOf(topology),
  };
  return same(policy, before) ? before : policy;
}

function blocksOf(
  document: Document,
  views: readonly PortView[],
  before: Policy,
): Map<string, RuleBlock> {
  const used = new Set(
    views.flatMap(({ firewall }) =>
      firewall ? [...firewall.basics, ...firewall.tiers.flat()] : [],
    ),
  );
  const blocks = new Map<string, RuleBlock>();
  for (const [name, block] of basicBlocks) if (used.has(name)) blocks.set(name, block);
  for (const group of document.securityGroups) {
    const name = groupBlock(group.name);
    if (!used.has(name)) continue;
    let block = groupBlocks.get(group);
    if (block === undefined) {
      block = ruleBlock(groupRules(group));
      groupBlocks.set(group, block);
    }
    blocks.set(name, block);
  }
  for (const [scope, acls] of aclsByScope(document)) {
    for (const stateful of [true, false]) {
      const name = aclBlock(scope, stateful);
      if (used.has(name)) blocks.set(name, blockOfAcls(acls, stateful, before.blocks.get(name)));
    }
  }
  return blocks;
}

function aclsByScope({ acls }: Document): Map<string, Acl[]> {
  const scopes = new Map<string, Acl[]>();
  for (const acl of acls) {
    const scope = aclScope(acl);
    const others = scopes.get(scope);
    if (others === undefined) scopes.set(scope, [acl]);
    else others.push(acl);
  }
  return scopes;
}

function blockOfAcls(acls: readonly Acl[], stateful: boolean, old?: RuleBlock): RuleBlock {
  const known = old && aclsOfBlock.get(old);
  const same = known?.length === acls.length && acls.every((acl, index) => acl === known[index]);
  if (old !== undefined && same) return old;
  const block = ruleBlock(aclRules(acls, stateful));
  aclsOfBlock.set(block, acls);
  return block;
}

function listsOf(document: Document, wanted: ReadonlySet<string>): Map<string, AddressList> {
  const lists = new Map<string, AddressList>();
  for (const set of document.addressSets) {
    const name = setList(set.name);
    if (!wanted.has(name)) continue;
    let list = setLists.get(set);
    if (list === undefined) {
      list = { addresses: new Set(set.addresses) };
      setLists.set(set, list);
    }
    lists.set(name, list);
  }
  return lists;
}

/** Addresses of the ports of groups that rules refer to, by domain and group. */
function membersOf(
  document: Document,
  { domainOf }: Topology,
  wanted: ReadonlySet<string>,
  before: Policy,
): Policy['members'] {
  const domains = new Map<string, Map<string, { readonly addresses: Set<string> }>>();
  for (const { securityGroups, network, ips, allowedAddressPairs } of document.ports) {
    for (const group of securityGroups) {
      const list = groupList(group);
      if (!wanted.has(list)) continue;
      const domain = domainOf(network);
      const lists = domains.get(domain) ?? new Map<string, { readonly addresses: Set<string> }>();
      domains.set(domain, lists);
      const { addresses } = lists.get(list) ?? { addresses: new Set<string>() };
      lists.set(list, { addresses });
      for (const ip of ips) addresses.add(ip);
      for (const { ip } of allowedAddressPairs) addresses.add(ip);
    }
  }
  const members = new Map<string, ReadonlyMap<string, AddressList>>();
  for (const [domain, lists] of domains) {
    const known = before.members.get(domain);
    const kept = new Map(
      [...lists].map(([name, list]) => {
        const old = known?.get(name);
        return [name, old !== undefined && sameSet(old.addresses, list.addresses) ? old : list];
      }),
    );
    members.set(domain, known !== undefined && sameEntries(kept, known) ? known : kept);
  }
  return members;
}

function portsOf(views: readonly PortView[], before: Policy): Map<number, PortPolicy> {
  const ports = new Map<number, PortPolicy>();
  for (const { port, location, firewall, domain } of views) {
    if (firewall === undefined) continue;
    const { basics, tiers, stateful } = firewall;
    const lastWord = port.securityGroups.length > 0 ? denial : permission;
    const fallback = {
      ingress: lastWord(port.name, 'ingress', stateful),
      egress: lastWord(port.name, 'egress', stateful),
    };
    const policy = { basics, tiers, stateful, domain, fallback };
    const old = before.ports.get(location);
    ports.set(location, old !== undefined && samePort(old, policy) ? old : policy);
  }
  return ports;
}

/** The last word of a port with groups. */
function denial(port: string, direction: Direction): Rule {
  const rule = makeRule(`${direction}-policy`, {
    id: `${port}/deny`,
    priority: 0,
    match: anyPacket,
    steps: [{ kind: 'drop', reason: dropReason.AclDeny }],
    origin: { object: `port ${port}`, path: `ports[${port}].securityGroups` },
  });
  return { ...rule, text: `no rule of its groups allows ${direction}` };
}

/** The last word of a port that is subject to ACLs only. */
function permission(port: string, direction: Direction, stateful: boolean): Rule {
  const rule = makeRule(`${direction}-policy`, {
    id: `${port}/open`,
    priority: 0,
    match: anyPacket,
    steps: stateful ? [{ kind: 'commit' }] : [],
    origin: { object: `port ${port}`, path: `ports[${port}]` },
  });
  return { ...rule, text: `no ACL forbids ${direction}, and it has no groups` };
}

function receiversOf({ networks }: Topology): Map<number, readonly number[]> {
  const receivers = new Map<number, readonly number[]>();
  for (const { vni, kinds } of networks) {
    if (kinds.length === 0) continue;
    const asked = kinds.map(({ ports, firewall }) => (firewall ? ports[0]!.location : 0));
    receivers.set(vni, asked);
  }
  return receivers;
}

function samePort(one: PortPolicy, other: PortPolicy): boolean {
  return (
    one.stateful === other.stateful &&
    one.domain === other.domain &&
    one.fallback.ingress.id === other.fallback.ingress.id &&
    one.basics.join() === other.basics.join() &&
    JSON.stringify(one.tiers) === JSON.stringify(other.tiers)
  );
}

function same(one: Policy, other: Policy): boolean {
  const texts = (receivers: Policy['receivers']) =>
    new Map([...receivers].map(([vni, locations]) => [vni, locations.join()]));
  return (
    sameEntries(one.blocks, other.blocks) &&
    sameEntries(one.lists, other.lists) &&
    sameEntries(one.members, other.members) &&
    sameEntries(one.ports, other.ports) &&
    sameEntries(texts(one.receivers), texts(other.receivers))
  );
}

/** Same keys, with the very same values. */
function sameEntries<Key, Value>(
  one: ReadonlyMap<Key, Value>,
  other: ReadonlyMap<Key, Value>,
): boolean {
  if (one.size !== other.size) return false;
  for (const [key, value] of one) if (other.get(key) !== value) return false;
  return true;
}

function sameSet(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  if (one.size !== other.size) return false;
  for (const entry of one) if (!other.has(entry)) return false;
  return true;
}
