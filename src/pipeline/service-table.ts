// pipeline/service-table.ts — firewall rules for one remote side, by protocol and port.
//
// Ranges of ports overlap and nest, and a rule may hold for every protocol. They are laid out once
// as spans: stretches of the port space that do not overlap, each with the one rule that ranks
// highest there. A lookup is a binary search, whatever the number of rules. ICMP has a type and a
// code where others have a port: the "port" is type * 256 + code, so that a type is a range.
//
// Un-wildcarding: a lookup tells the span that it ended in, rule or none. Any port of that span has
// the same answer; portBits() turns it into a mask, the widest aligned block around the port inside
// the span. A range becomes at most two blocks of each size, and only those that packets ask for.

import type { Rule } from './rule.ts';

export const portMax = 0xffff;

/** What one rule matches beside the remote side, and what follows. */
export interface Service {
  /** IP protocol; undefined: every one. */
  readonly protocol: number | undefined;
  /** First and last port, or ICMP type * 256 + code. */
  readonly first: number;
  readonly last: number;
  /** L4 source port, which only rules of our own ask for; undefined: any. */
  readonly sourcePort?: number;
  /** Higher wins. Rules of one rank do the same, so that it does not matter which one is found. */
  readonly rank: number;
  /** Traffic passes. */
  readonly allow: boolean;
  readonly rule: Rule;
}

/** Stretches of the port space, from each start to before the next one. */
interface Spans {
  readonly starts: Int32Array;
  readonly services: readonly (Service | undefined)[];
  /** What holds for a fragment that shows no port; undefined: nothing is known of it. */
  readonly fragment: Service | undefined;
}

export class ServiceTable {
  /** First and last port of the span that the last find() ended in. */
  first = 0;
  last = portMax;
  /** The highest rank in the table. */
  readonly rankMax: number;
  readonly #services: readonly Service[];
  /** By protocols that rules name; undefined: not laid out yet. */
  readonly #byProtocol = new Map<number, Spans | undefined>();
  /** For the other protocols. */
  #others: Spans | undefined;

  constructor(services: readonly Service[]) {
    this.#services = services;
    let rankMax = 0;
    for (const { rank, protocol } of services) {
      if (rank > rankMax) rankMax = rank;
      if (protocol !== undefined) this.#byProtocol.set(protocol, undefined);
    }
    this.rankMax = rankMax;
  }

  /** The rule of highest rank for a protocol and port; sets `first` and `last`. */
  find(protocol: number, port: number): Service | undefined {
    const { starts, services } = this.#spans(protocol);
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= port) low = middle;
      else high = middle - 1;
    }
    this.first = starts[low]!;
    this.last = low + 1 < starts.length ? starts[low + 1]! - 1 : portMax;
    return services[low];
  }

  /**
   * What holds for a later fragment, which shows no ports: a rule for every port, or one that lets
   * any of them pass, since what the first fragment does not bring in, nobody can put together.
   */
  fragment(protocol: number): Service | undefined {
    return this.#spans(protocol).fragment;
  }

  /** Laid out when first asked for: most tables of a large document never are. */
  #spans(protocol: number): Spans {
    const named = this.#byProtocol.has(protocol);
    const known = named ? this.#byProtocol.get(protocol) : this.#others;
    if (known !== undefined) return known;
    const spans = layOut(
      this.#services.filter(
        (service) => service.protocol === undefined || service.protocol === protocol,
      ),
    );
    if (named) this.#byProtocol.set(protocol, spans);
    else this.#others = spans;
    return spans;
  }
}

/**
 * Paints the rules onto the port space, highest rank first, each only where nothing is painted yet.
 */
function layOut(services: readonly Service[]): Spans {
  const ranked = [...services].sort((one, other) => other.rank - one.rank);
  const edges = new Set([0]);
  for (const { first, last } of ranked) {
    edges.add(first);
    if (last < portMax) edges.add(last + 1);
  }
  const starts = [...edges].sort((one, other) => one - other);
  const placeOf = new Map(starts.map((start, place) => [start, place]));
  const painted = new Array<Service | undefined>(starts.length).fill(undefined);
  // From each place to the next one that is bare; the last entry ends every chain.
  const bare = Int32Array.from({ length: starts.length + 1 }, (_, place) => place);
  const nextBare = (place: number): number => {
    let found = place;
    while (bare[found] !== found) found = bare[found]!;
    for (let at = place; at !== found; ) {
      const next = bare[at]!;
      bare[at] = found;
      at = next;
    }
    return found;
  };
  for (const service of ranked) {
    const end = service.last < portMax ? placeOf.get(service.last + 1)! : starts.length;
    for (let at = nextBare(placeOf.get(service.first)!); at < end; at = nextBare(at)) {
      painted[at] = service;
      bare[at] = at + 1;
    }
  }
  const kept = starts.map((_, place) => place).filter((at) => at === 0 || differs(painted, at));
  const everyPort = ({ first, last }: Service) => first === 0 && last === portMax;
  return {
    starts: Int32Array.from(kept, (at) => starts[at]!),
    services: kept.map((at) => painted[at]),
    fragment: ranked.find((service) => service.allow || everyPort(service)),
  };
}

function differs(painted: readonly (Service | undefined)[], at: number): boolean {
  return painted[at] !== painted[at - 1];
}

/**
 * Leading bits of a 16-bit port that must be looked at so that it lies between `first` and `last`.
 */
export function portBits(port: number, first: number, last: number): number {
  for (let bits = 0; bits < 16; bits += 1) {
    const size = 1 << (16 - bits);
    const start = port & ~(size - 1);
    if (start >= first && start + size - 1 <= last) return bits;
  }
  return 16;
}
