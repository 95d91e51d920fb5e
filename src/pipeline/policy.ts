// pipeline/policy.ts — what firewalls a port: blocks of rules, address lists, and who has which.
//
// Plain data, made by src/rules and put in force by policy-store.ts as a whole. What has not
// changed is the same object as before; that is how changes are found without comparing contents.
//
// A port is judged tier by tier: the first tier that has a rule for the packet decides, and within
// a tier the rule of highest rank. When no tier decides, the port's own last word does: deny for a
// port with security groups, allow for one that is only subject to ACLs.

import type { IpFamily } from '../lib/addresses.ts';
import type { Rule } from './rule.ts';
import type { Service } from './service-table.ts';

/** Seen from the owner of the port: ingress is traffic to it. */
export type Direction = 'ingress' | 'egress';

/** The address list of everyone. */
export const everyone = 'everyone';

/** Names of the lists of an address set and of a group's members; addresses name themselves. */
export const setList = (name: string): string => `set ${name}`;
export const groupList = (name: string): string => `group ${name}`;
export const isSetList = (list: string): boolean => list.startsWith('set ');
export const isGroupList = (list: string): boolean => list.startsWith('group ');

/** A rule of a block: for which traffic, from or to whom. */
export interface PolicyRule extends Service {
  readonly direction: Direction;
  /**
   * By address family, the name of the address list that holds the other side: `everyone`, an
   * address or prefix, or a list of the policy. A family that is left out is not matched.
   */
  readonly remote: Partial<Readonly<Record<IpFamily, string>>>;
}

/** The rules of one object of the document that ports refer to. */
export interface RuleBlock {
  readonly rules: readonly PolicyRule[];
  /** Names of the address lists that rules refer to, `everyone` aside. */
  readonly lists: ReadonlySet<string>;
}

export function ruleBlock(rules: readonly PolicyRule[]): RuleBlock {
  const lists = new Set<string>();
  for (const { remote } of rules) {
    if (remote[4] !== undefined) lists.add(remote[4]);
    if (remote[6] !== undefined) lists.add(remote[6]);
  }
  lists.delete(everyone);
  return { rules, lists };
}

/** Addresses and prefixes in canonical text. */
export interface AddressList {
  readonly addresses: ReadonlySet<string>;
}

/** What applies to a local port. */
export interface PortPolicy {
  /** Names of blocks that come before all others, whatever the state of a connection. */
  readonly basics: readonly string[];
  /** Names of blocks, tier by tier. */
  readonly tiers: readonly (readonly string[])[];
  /** Replies and related packets pass with the connection; false: each packet stands for itself. */
  readonly stateful: boolean;
  /** Where the addresses of group members are looked up: equal addresses may be elsewhere too. */
  readonly domain: string;
  /** The last word of each direction. */
  readonly fallback: Readonly<Record<Direction, Rule>>;
}

export interface Policy {
  /** By name. */
  readonly blocks: ReadonlyMap<string, RuleBlock>;
  /** Lists that are the same for everyone, by name. */
  readonly lists: ReadonlyMap<string, AddressList>;
  /** Lists of group members, by domain and name. */
  readonly members: ReadonlyMap<string, ReadonlyMap<string, AddressList>>;
  /** By location. A local port that is not here is open. */
  readonly ports: ReadonlyMap<number, PortPolicy>;
  /**
   * By VNI: a port of each kind that replication must ask, by location; `deliver` knows them by
   * their index. Networks without a policy at any local port are not here.
   */
  readonly receivers: ReadonlyMap<number, readonly number[]>;
}

/** Every port is open. */
export const noPolicy: Policy = Object.freeze({
  blocks: new Map(),
  lists: new Map(),
  members: new Map(),
  ports: new Map(),
  receivers: new Map(),
});
