// pipeline/policy-side.ts — one direction of a port's firewall, ready to be asked.
//
// Ports with the same blocks share a side. Its tables are those of the blocks, by the address list
// of the other side; which of them concern a packet depends on the class of the packet's address
// only, and is remembered by class. So a side is not rebuilt when members of a list come and go,
// and a rule costs memory once, however many members its list has and however many ports use it.

import type { IpFamily } from '../lib/addresses.ts';
import type { AddressClasses } from './address-index.ts';
import { type Direction, everyone, isGroupList, type RuleBlock } from './policy.ts';
import { type Service, ServiceTable } from './service-table.ts';

/** Tables of a block by direction, family and address list. */
export class BlockTables {
  readonly lists: ReadonlySet<string>;
  readonly #tables = new Map<string, Map<string, ServiceTable>>();

  constructor(block: RuleBlock) {
    this.lists = block.lists;
    const services = new Map<string, Map<string, Service[]>>();
    for (const rule of block.rules) {
      for (const [family, list] of Object.entries(rule.remote)) {
        const place = `${rule.direction}${family}`;
        const byList = services.get(place) ?? new Map<string, Service[]>();
        services.set(place, byList);
        const there = byList.get(list);
        if (there === undefined) byList.set(list, [rule]);
        else there.push(rule);
      }
    }
    for (const [place, byList] of services) {
      const tables = new Map([...byList].map(([list, rules]) => [list, new ServiceTable(rules)]));
      this.#tables.set(place, tables);
    }
  }

  /** By address list. */
  tables(direction: Direction, family: IpFamily): ReadonlyMap<string, ServiceTable> {
    return this.#tables.get(`${direction}${family}`) ?? noTables;
  }
}

const noTables: ReadonlyMap<string, ServiceTable> = new Map();

/** Number of an address list in use; undefined: no rule refers to it. */
export type ListNumber = (name: string) => number | undefined;

/** Classes of common lists and of group members together, as one number. */
const memberScale = 2 ** 24;

/** One tier for one address family. */
export class TierFamily {
  /** Tables of rules for everyone. */
  readonly open: readonly ServiceTable[];
  /** Highest rank among the other tables; -1: there are none. */
  readonly rankMax: number;
  /** Whether the other tables ask for common address lists, and for members of groups. */
  readonly asksLists: boolean;
  readonly asksMembers: boolean;
  readonly #closed = new Map<number, ServiceTable[]>();
  readonly #classes: AddressClasses;
  readonly #byClass = new Map<number, readonly ServiceTable[]>();

  constructor(
    tables: readonly ReadonlyMap<string, ServiceTable>[],
    classes: AddressClasses,
    numberOf: ListNumber,
  ) {
    this.#classes = classes;
    this.open = tables.flatMap((byList) => byList.get(everyone) ?? []);
    let [rankMax, asksLists, asksMembers] = [-1, false, false];
    for (const byList of tables) {
      for (const [list, table] of byList) {
        const number = list === everyone ? undefined : numberOf(list);
        if (number === undefined) continue;
        rankMax = Math.max(rankMax, table.rankMax);
        if (isGroupList(list)) asksMembers = true;
        else asksLists = true;
        const there = this.#closed.get(number);
        if (there === undefined) this.#closed.set(number, [table]);
        else there.push(table);
      }
    }
    this.rankMax = rankMax;
    this.asksLists = asksLists;
    this.asksMembers = asksMembers;
  }

  /** Tables of the lists that hold an address, by the classes that it has. */
  closed(listClass: number, memberClass: number): readonly ServiceTable[] {
    const name = listClass + memberClass * memberScale;
    return this.#byClass.get(name) ?? this.#collect(name, listClass, memberClass);
  }

  /** Apart from closed(), in which a closure would allocate at every call. */
  #collect(name: number, listClass: number, memberClass: number): readonly ServiceTable[] {
    const lists = [...this.#classes.lists(listClass), ...this.#classes.lists(memberClass)];
    const tables = lists.flatMap((list) => this.#closed.get(list) ?? []);
    this.#byClass.set(name, tables);
    return tables;
  }

  /** Some classes exist no more. */
  forgetClasses(): void {
    this.#byClass.clear();
  }
}

/** The tiers of one direction. */
export class PolicySide {
  readonly four: readonly TierFamily[];
  readonly six: readonly TierFamily[];

  constructor(
    direction: Direction,
    tiers: readonly (readonly BlockTables[])[],
    classes: AddressClasses,
    numberOf: ListNumber,
  ) {
    const family = (version: IpFamily) =>
      tiers.map((blocks) => {
        const tables = blocks.map((block) => block.tables(direction, version));
        return new TierFamily(tables, classes, numberOf);
      });
    this.four = family(4);
    this.six = family(6);
  }

  forgetClasses(): void {
    for (const tier of [...this.four, ...this.six]) tier.forgetClasses();
  }
}
