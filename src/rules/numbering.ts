// rules/numbering.ts — numbers for names: stable as long as the name is in use.
//
// The data path speaks in numbers, and a number that moves would send the packets of installed
// flows somewhere else. So a name keeps its number until release(), which is called only when no
// flow can refer to it any more; numbers that are installed already are seeded after a restart.
// Groups have no name in the data path: their numbers start from a hash of the name, which finds
// the same number again without being told, unless two names collide.

import { SwitchError } from '../lib/errors.ts';
import { hashName } from '../pipeline/rule.ts';

/** Limits of native/base/limits.h: numbers are 1..max-1. */
export const numberMax = Object.freeze({
  /** Device ports, by device. */
  devices: 1024,
  /** Tunnels, by "host/encap". */
  tunnels: 4096,
  /** Replication groups, by "network/all" and "network/local". */
  groups: 8192,
  /** Logical ports of this host, by port; only registers hold them. */
  logicalPorts: 0x1000000,
  /** Routers; only registers hold them. */
  routers: 0x1000000,
  /** Connection tracking zones, by domain. */
  zones: 0x10000,
  /** Token buckets, by "port/ingress" and "port/egress". */
  meters: 4096,
});
export type NumberKind = keyof typeof numberMax;

const kinds = Object.keys(numberMax) as readonly NumberKind[];

const whatOf: Readonly<Record<NumberKind, string>> = {
  devices: 'device ports',
  tunnels: 'tunnels',
  groups: 'replication groups',
  logicalPorts: 'logical ports',
  routers: 'routers',
  zones: 'connection tracking zones',
  meters: 'rate limits',
};

/** All numbers in use, as plain data. */
export type NumberSnapshot = Readonly<Record<NumberKind, Readonly<Record<string, number>>>>;

class NumberSpace {
  readonly byName = new Map<string, number>();
  readonly byNumber = new Map<number, string>();
  lowestFree = 1;
}

export class Numbering {
  readonly #spaces = new Map<NumberKind, NumberSpace>(
    kinds.map((kind) => [kind, new NumberSpace()]),
  );

  /** The number of a name, given on first use. Throws ERR_LIMIT when none is left. */
  number(kind: NumberKind, name: string): number {
    const space = this.#space(kind);
    const known = space.byName.get(name);
    if (known !== undefined) return known;
    const number = kind === 'groups' ? freeFrom(space, kind, name) : lowest(space, kind, name);
    space.byName.set(name, number);
    space.byNumber.set(number, name);
    return number;
  }

  /** The number of a name, or undefined. */
  find(kind: NumberKind, name: string): number | undefined {
    return this.#space(kind).byName.get(name);
  }

  /** The name of a number, or undefined. */
  name(kind: NumberKind, number: number): string | undefined {
    return this.#space(kind).byNumber.get(number);
  }

  /**
   * Takes over a number that is installed; false when the name or the number is taken otherwise.
   */
  seed(kind: NumberKind, name: string, number: number): boolean {
    const space = this.#space(kind);
    if (space.byName.get(name) === number) return true;
    const usable = Number.isInteger(number) && number >= 1 && number < numberMax[kind];
    if (!usable || space.byName.has(name) || space.byNumber.has(number)) return false;
    space.byName.set(name, number);
    space.byNumber.set(number, name);
    return true;
  }

  /** Frees the number of a name that no rule, table or flow refers to any more. */
  release(kind: NumberKind, name: string): void {
    const space = this.#space(kind);
    const number = space.byName.get(name);
    if (number === undefined) return;
    space.byName.delete(name);
    space.byNumber.delete(number);
    space.lowestFree = Math.min(space.lowestFree, number);
  }

  /** Names that have a number. */
  names(kind: NumberKind): IterableIterator<string> {
    return this.#space(kind).byName.keys();
  }

  snapshot(): NumberSnapshot {
    const entries = kinds.map((kind) => [kind, Object.fromEntries(this.#space(kind).byName)]);
    return Object.fromEntries(entries) as NumberSnapshot;
  }

  /** Seeds from a snapshot; entries that contradict what is known are left out. */
  restore(snapshot: Partial<NumberSnapshot>): void {
    for (const kind of kinds) {
      for (const [name, number] of Object.entries(snapshot[kind] ?? {})) {
        this.seed(kind, name, number);
      }
    }
  }

  /** Releases names that the snapshot did not have: what was compiled on paper only. */
  forgetSince(snapshot: NumberSnapshot): void {
    for (const kind of kinds) {
      for (const name of [...this.names(kind)]) {
        if (!Object.hasOwn(snapshot[kind], name)) this.release(kind, name);
      }
    }
  }

  #space(kind: NumberKind): NumberSpace {
    return this.#spaces.get(kind)!;
  }
}

function lowest(space: NumberSpace, kind: NumberKind, name: string): number {
  let number = space.lowestFree;
  while (space.byNumber.has(number)) number += 1;
  if (number >= numberMax[kind]) full(kind, name);
  space.lowestFree = number + 1;
  return number;
}

function freeFrom(space: NumberSpace, kind: NumberKind, name: string): number {
  const count = numberMax[kind] - 1;
  if (space.byNumber.size >= count) full(kind, name);
  let place = hashName(name) % count;
  while (space.byNumber.has(place + 1)) place = (place + 1) % count;
  return place + 1;
}

function full(kind: NumberKind, name: string): never {
  const limit = numberMax[kind] - 1;
  throw new SwitchError(
    'ERR_LIMIT',
    `no number left for ${name}: at most ${limit} ${whatOf[kind]}`,
  );
}
