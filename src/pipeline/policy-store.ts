// pipeline/policy-store.ts — the policy in force, and how it becomes another one.
//
// A policy is set as a whole; what is the same object as before is not looked at. Changing a block
// lays out the tables of that block and the sides of the ports that use it; changing a list walks
// the trie once for each address that came or went, whatever the number of rules that refer to it.
// Lists that no rule refers to are not kept in the tries, so that they make no mask wider.

import { type Cidr, type IpFamily, tryParseIpOrCidr } from '../lib/addresses.ts';
import { AddressClasses, AddressTrie, addressWords } from './address-index.ts';
import {
  type AddressList,
  type Direction,
  isGroupList,
  isSetList,
  noPolicy,
  type Policy,
  type PortPolicy,
} from './policy.ts';
import { BlockTables, PolicySide } from './policy-side.ts';
import type { Rule } from './rule.ts';

/** What may be judged otherwise now. */
export interface PolicyEffects {
  /** Any packet of any port. */
  readonly everything: boolean;
  /** Packets from or to these addresses. */
  readonly prefixes: readonly Cidr[];
}

/** The tries of one domain, or of the lists that all domains share. */
export class AddressIndex {
  readonly four: AddressTrie;
  readonly six: AddressTrie;

  constructor(classes: AddressClasses) {
    this.four = new AddressTrie(classes, 1);
    this.six = new AddressTrie(classes, 4);
  }

  trie(family: IpFamily): AddressTrie {
    return family === 4 ? this.four : this.six;
  }
}

/** The firewall of one port, ready to be asked. */
export interface PortJudge {
  readonly policy: PortPolicy;
  readonly basics: Readonly<Record<Direction, PolicySide>>;
  readonly sides: Readonly<Record<Direction, PolicySide>>;
  /** Members of groups. */
  readonly members: AddressIndex;
}

/** A list that rules refer to. */
interface ListInUse {
  readonly number: number;
  /** Blocks that refer to it. */
  blocks: number;
}

export class PolicyStore {
  /** Common lists: address sets, and the addresses that rules name. */
  readonly lists: AddressIndex;
  readonly #classes = new AddressClasses();
  readonly #members = new Map<string, AddressIndex>();
  readonly #inUse = new Map<string, ListInUse>();
  readonly #blocks = new Map<string, BlockTables>();
  /** By what they are made of. */
  #sides = new Map<string, PolicySide>();
  readonly #ports = new Map<number, PortJudge>();
  #policy: Policy = noPolicy;
  #lastNumber = 0;

  constructor() {
    this.lists = new AddressIndex(this.#classes);
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** Rules of all blocks. */
  get ruleCount(): number {
    let count = 0;
    for (const { rules } of this.#policy.blocks.values()) count += rules.length;
    return count;
  }

  /** The firewall of the port at a location; undefined: it is open. */
  port(location: number): PortJudge | undefined {
    return this.#ports.get(location);
  }

  /** The rule with this decision, or undefined. Looks through all of them. */
  ruleOfDecision(decision: number): Rule | undefined {
    for (const { rules } of this.#policy.blocks.values()) {
      const found = rules.find(({ rule }) => rule.decision === decision);
      if (found !== undefined) return found.rule;
    }
    for (const { fallback } of this.#policy.ports.values()) {
      if (fallback.ingress.decision === decision) return fallback.ingress;
      if (fallback.egress.decision === decision) return fallback.egress;
    }
    return undefined;
  }

  /** Puts a policy in force, in the place of the one before. */
  set(policy: Policy): PolicyEffects {
    const old = this.#policy;
    this.#policy = policy;
    if (policy === old) return { everything: false, prefixes: [] };
    const prefixes: Cidr[] = [];
    const changed = this.#setBlocks(old, policy);
    this.#changeLists(old, policy, prefixes);
    const ports = this.#setPorts(old, policy, changed);
    const receivers = !sameReceivers(old, policy);
    return { everything: changed.size > 0 || ports || receivers, prefixes };
  }

  /** Lays out new and changed blocks; returns the names of all that are not what they were. */
  #setBlocks(old: Policy, policy: Policy): Set<string> {
    const changed = new Set<string>();
    for (const [name, block] of policy.blocks) {
      if (old.blocks.get(name) === block) continue;
      changed.add(name);
      const tables = new BlockTables(block);
      for (const list of tables.lists) this.#use(list, old);
      this.#release(name, old);
      this.#blocks.set(name, tables);
    }
    for (const name of old.blocks.keys()) {
      if (policy.blocks.has(name)) continue;
      changed.add(name);
      this.#release(name, old);
    }
    return changed;
  }

  /** A block begins to refer to a list, which is as in the policy before. */
  #use(list: string, old: Policy): void {
    const known = this.#inUse.get(list);
    if (known !== undefined) {
      known.blocks += 1;
      return;
    }
    this.#lastNumber += 1;
    this.#inUse.set(list, { number: this.#lastNumber, blocks: 1 });
    this.#eachIndex(list, old, (index, addresses) => {
      for (const text of addresses) changeAddress(index, text, this.#lastNumber, true);
    });
  }

  #release(block: string, old: Policy): void {
    const tables = this.#blocks.get(block);
    this.#blocks.delete(block);
    for (const list of tables?.lists ?? []) {
      const known = this.#inUse.get(list)!;
      known.blocks -= 1;
      if (known.blocks > 0) continue;
      this.#inUse.delete(list);
      this.#eachIndex(list, old, (index, addresses) => {
        for (const text of addresses) changeAddress(index, text, known.number, false);
      });
      this.#classes.forget(known.number);
      for (const side of this.#sides.values()) side.forgetClasses();
    }
  }

  /** Every trie that holds the list, with the addresses that it holds of it. */
  #eachIndex(
    list: string,
    policy: Policy,
    visit: (index: AddressIndex, addresses: Iterable<string>) => void,
  ): void {
    if (!isGroupList(list)) {
      const named = isSetList(list) ? (policy.lists.get(list)?.addresses ?? []) : [list];
      visit(this.lists, named);
      return;
    }
    for (const [domain, lists] of policy.members) {
      const addresses = lists.get(list)?.addresses;
      if (addresses !== undefined) visit(this.#membersOf(domain), addresses);
    }
  }

  #membersOf(domain: string): AddressIndex {
    let index = this.#members.get(domain);
    if (index === undefined) {
      index = new AddressIndex(this.#classes);
      this.#members.set(domain, index);
    }
    return index;
  }

  /** Lists in use follow; every address that came or went is appended to `prefixes`. */
  #changeLists(old: Policy, policy: Policy, prefixes: Cidr[]): void {
    this.#changeList(this.lists, old.lists, policy.lists, prefixes);
    for (const domain of new Set([...old.members.keys(), ...policy.members.keys()])) {
      const [before, after] = [old.members.get(domain), policy.members.get(domain)];
      if (before === after) continue;
      const index = this.#membersOf(domain);
      this.#changeList(index, before ?? noLists, after ?? noLists, prefixes);
    }
  }

  #changeList(
    index: AddressIndex,
    before: ReadonlyMap<string, AddressList>,
    after: ReadonlyMap<string, AddressList>,
    prefixes: Cidr[],
  ): void {
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      const number = this.#inUse.get(name)?.number;
      const [old, now] = [before.get(name), after.get(name)];
      if (number === undefined || old === now) continue;
      for (const text of old?.addresses ?? []) {
        if (now?.addresses.has(text)) continue;
        prefixes.push(changeAddress(index, text, number, false));
      }
      for (const text of now?.addresses ?? []) {
        if (old?.addresses.has(text)) continue;
        prefixes.push(changeAddress(index, text, number, true));
      }
    }
  }

  /** Joins ports with the sides that they need; true when any port is judged by other rules. */
  #setPorts(old: Policy, policy: Policy, changed: ReadonlySet<string>): boolean {
    if (old.ports === policy.ports && changed.size === 0) return false;
    const before = this.#sides;
    this.#sides = new Map();
    const sideOf = (direction: Direction, tiers: PortPolicy['tiers']) => {
      const name = `${direction} ${JSON.stringify(tiers)}`;
      const stale = tiers.some((tier) => tier.some((block) => changed.has(block)));
      let side = this.#sides.get(name) ?? (stale ? undefined : before.get(name));
      if (side === undefined) {
        const tables = tiers.map((tier) => tier.flatMap((block) => this.#blocks.get(block) ?? []));
        const numberOf = (list: string) => this.#inUse.get(list)?.number;
        side = new PolicySide(direction, tables, this.#classes, numberOf);
      }
      this.#sides.set(name, side);
      return side;
    };
    const both = (tiers: PortPolicy['tiers']) => {
      return { ingress: sideOf('ingress', tiers), egress: sideOf('egress', tiers) };
    };
    let different = old.ports.size !== policy.ports.size;
    this.#ports.clear();
    for (const [location, port] of policy.ports) {
      different ||= old.ports.get(location) !== port;
      this.#ports.set(location, {
        policy: port,
        basics: both([port.basics]),
        sides: both(port.tiers),
        members: this.#membersOf(port.domain),
      });
    }
    return different;
  }
}

const noLists: ReadonlyMap<string, AddressList> = new Map();

/** Adds an address or prefix to a list of an index, or takes it out. */
function changeAddress(index: AddressIndex, text: string, list: number, add: boolean): Cidr {
  const cidr = tryParseIpOrCidr(text);
  if (cidr === undefined) throw new Error(`${text} is neither an address nor a prefix`);
  const trie = index.trie(cidr.family);
  const words = addressWords(cidr.bytes);
  if (add) trie.add(words, cidr.prefix, list);
  else trie.remove(words, cidr.prefix, list);
  return cidr;
}

function sameReceivers(old: Policy, policy: Policy): boolean {
  if (old.receivers.size !== policy.receivers.size) return false;
  for (const [vni, locations] of policy.receivers) {
    if (old.receivers.get(vni)?.join() !== locations.join()) return false;
  }
  return true;
}
