// pipeline/classifier.ts — finds the rule of highest priority that matches: tuple-space search.
//
// Rules with the same mask share a subtable, which is a hash table; a lookup asks one subtable
// after the other, highest priority first, and stops when no later one can do better.
//
// Un-wildcarding. The verdict becomes a megaflow: its mask says which bits of the packet the
// verdict depends on. A bit that is 1 without need makes the flow narrower than it could be: slow.
// A bit that is 0 although it mattered sends other packets the wrong way: a fault. So every bit
// that was looked at goes into the mask, whether it made a rule match or only kept one from
// matching: "no rule here" is as much a fact about the packet as "this rule". Three things keep
// masks small all the same:
//
// - Early end. A subtable whose best priority does not exceed the match in hand is not asked, so
//   its bits stay wild. The order of subtables depends on the rules only, never on the packet.
// - Segments. A subtable's words are hashed in segments, from coarse to fine (registers, port and
//   EtherType, Ethernet and protocol, IP addresses, L4 and ND). After each, a filter of the hashes
//   of all rules up to there tells whether any rule can still match; if not, the finer segments
//   were not looked at and stay wild. So an ARP rule costs an IP packet its EtherType, not its
//   ports. A hash collision in such a filter makes a mask wider than needed, never narrower.
// - What is known already. Where all rules of a subtable have one EtherType, and somebody has
//   looked at the packet's, another one ends the subtable at once.
//
// A lookup allocates nothing. Adding and removing a rule are O(1) but for growth.

import { field, flowKeyWords } from '../flow/key.ts';
import { murmurFinish, murmurMix } from '../lib/murmur.ts';
import { pipelineKeyWords } from './registers.ts';
import type { Rule } from './rule.ts';

/** Word indexes of a pipeline key, in the order of segments. */
const segments: readonly (readonly number[])[] = [
  range(flowKeyWords, pipelineKeyWords),
  range(0, 4),
  range(4, 8),
  range(9, 20),
  [8, ...range(20, flowKeyWords)],
];

/** The word that holds the EtherType. */
const guardWord = field.eth_type.offset >>> 2;

const slotCountMin = 4;

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, index) => first + index);
}

const filterPlacesMin = 64;
const filterPlacesEach = 8;

/**
 * How many rules have each hash up to the end of a segment. Hashes share places: one that no rule
 * has may be taken for one of theirs, once in eight times, which only makes a mask wider.
 */
class Filter {
  /** A power of two of places; 0: no rule has a hash of this place. */
  counts = new Int32Array(filterPlacesMin);
  #size = 0;
  readonly #hashes = new Map<number, number>();

  add(hash: number): void {
    const count = this.#hashes.get(hash) ?? 0;
    this.#hashes.set(hash, count + 1);
    if (count > 0) return;
    this.#size += 1;
    if (this.#size * filterPlacesEach > this.counts.length) this.#grow();
    else this.#change(hash, 1);
  }

  remove(hash: number): void {
    const count = this.#hashes.get(hash)!;
    if (count > 1) {
      this.#hashes.set(hash, count - 1);
      return;
    }
    this.#hashes.delete(hash);
    this.#size -= 1;
    this.#change(hash, -1);
  }

  #change(hash: number, by: 1 | -1): void {
    const place = filterPlace(hash, this.counts);
    this.counts[place] = this.counts[place]! + by;
  }

  #grow(): void {
    this.counts = new Int32Array(this.counts.length * 2);
    for (const hash of this.#hashes.keys()) this.#change(hash, 1);
  }
}

function filterPlace(hash: number, counts: Int32Array): number {
  return (hash ^ (hash >>> 15)) & (counts.length - 1);
}

/** All rules with one mask. Open addressing with linear probing; a slot holds a chain of rules. */
class Subtable {
  readonly mask: Uint32Array;
  maxPriority = 0;
  size = 0;
  /** Indexes and masks of the words that the mask touches, in segment order. */
  readonly #words: Int32Array;
  readonly #masks: Int32Array;
  /** Positions in #words behind each segment but the last one. */
  readonly #ends: Int32Array;
  /** For each of #ends: the hashes up to there that rules have. */
  readonly filters: readonly Filter[];
  /** How many rules have each value of the guard, the word that holds the EtherType. */
  readonly #guards = new Map<number, number>();
  readonly #priorities = new Map<number, number>();
  #slotCount = slotCountMin;
  #used = 0;
  #keys: Int32Array;
  /** Rules of one key by falling priority; undefined: the slot is free. */
  #chains: (Rule[] | undefined)[];

  constructor(mask: Uint32Array) {
    this.mask = mask;
    const words: number[] = [];
    const ends: number[] = [];
    for (const segment of segments) {
      const touched = segment.filter((index) => mask[index] !== 0);
      if (touched.length === 0) continue;
      words.push(...touched);
      ends.push(words.length);
    }
    ends.pop();
    this.#words = Int32Array.from(words);
    this.#masks = Int32Array.from(words, (index) => mask[index]! | 0);
    this.#ends = Int32Array.from(ends);
    this.filters = ends.map(() => new Filter());
    this.#keys = new Int32Array(slotCountMin * words.length);
    this.#chains = new Array<Rule[] | undefined>(slotCountMin).fill(undefined);
  }

  /**
   * What Classifier.lookup() reads: mask and value of the guard, zeroes when rules differ in it;
   * then for each segment its number of words, and of each word index and mask.
   */
  program(): number[] {
    const [guard = 0] = this.#guards.keys();
    const guarded = this.#guards.size === 1 && this.mask[guardWord] !== 0;
    const program = guarded ? [this.mask[guardWord]!, guard] : [0, 0];
    let from = 0;
    for (const end of [...this.#ends, this.#words.length]) {
      program.push(end - from);
      for (; from < end; from += 1) program.push(this.#words[from]!, this.#masks[from]!);
    }
    return program;
  }

  /** The best rule for `key`, whose masked words have this hash. */
  best(hash: number, key: Uint32Array): Rule | undefined {
    return this.#chains[this.#find(murmurFinish(hash), key)]?.[0];
  }

  add(rule: Rule): void {
    if ((this.#used + 1) * 2 > this.#slotCount) this.#grow();
    this.#countHashes(rule.key, 1);
    const slot = this.#find(this.#hash(rule.key), rule.key);
    const chain = this.#chains[slot];
    if (chain === undefined) {
      this.#place(slot, rule.key, [rule]);
      this.#used += 1;
    } else {
      chain.push(rule);
      chain.sort(byRank);
    }
    this.size += 1;
    const guard = rule.key[guardWord]!;
    this.#guards.set(guard, (this.#guards.get(guard) ?? 0) + 1);
    this.#priorities.set(rule.priority, (this.#priorities.get(rule.priority) ?? 0) + 1);
    this.maxPriority = Math.max(this.maxPriority, rule.priority);
  }

  /** Removes the rule with this rule's id; false when it is not here. */
  remove(rule: Rule): boolean {
    const slot = this.#find(this.#hash(rule.key), rule.key);
    const chain = this.#chains[slot];
    const index = chain?.findIndex((other) => other.id === rule.id) ?? -1;
    if (chain === undefined || index < 0) return false;
    const [gone] = chain.splice(index, 1) as [Rule];
    if (chain.length === 0) this.#free(slot);
    this.#countHashes(rule.key, -1);
    this.size -= 1;
    const guards = this.#guards.get(gone.key[guardWord]!)! - 1;
    if (guards > 0) this.#guards.set(gone.key[guardWord]!, guards);
    else this.#guards.delete(gone.key[guardWord]!);
    const left = this.#priorities.get(gone.priority)! - 1;
    if (left > 0) this.#priorities.set(gone.priority, left);
    else this.#priorities.delete(gone.priority);
    this.maxPriority = this.size === 0 ? 0 : Math.max(...this.#priorities.keys());
    return true;
  }

  #hash(key: Uint32Array): number {
    let hash = 0;
    for (let index = 0; index < this.#words.length; index += 1) {
      hash = murmurMix(hash, key[this.#words[index]!]! & this.#masks[index]!);
    }
    return murmurFinish(hash);
  }

  /** The slot that holds the masked key, or the free one where it would go. */
  #find(hash: number, key: Uint32Array): number {
    const last = this.#slotCount - 1;
    let slot = hash & last;
    while (this.#chains[slot] !== undefined && !this.#holds(slot, key)) slot = (slot + 1) & last;
    return slot;
  }

  #holds(slot: number, key: Uint32Array): boolean {
    const count = this.#words.length;
    const base = slot * count;
    for (let index = 0; index < count; index += 1) {
      const word = key[this.#words[index]!]! & this.#masks[index]!;
      if (this.#keys[base + index] !== word) return false;
    }
    return true;
  }

  #place(slot: number, key: Uint32Array, chain: Rule[]): void {
    const base = slot * this.#words.length;
    for (let index = 0; index < this.#words.length; index += 1) {
      this.#keys[base + index] = key[this.#words[index]!]! & this.#masks[index]!;
    }
    this.#chains[slot] = chain;
  }

  /** Empties a slot and moves back what had been pushed past it. */
  #free(slot: number): void {
    const last = this.#slotCount - 1;
    this.#chains[slot] = undefined;
    this.#used -= 1;
    let next = (slot + 1) & last;
    for (let chain = this.#chains[next]; chain !== undefined; chain = this.#chains[next]) {
      this.#chains[next] = undefined;
      const key = chain[0]!.key;
      this.#place(this.#find(this.#hash(key), key), key, chain);
      next = (next + 1) & last;
    }
  }

  #grow(): void {
    const chains = this.#chains;
    this.#slotCount *= 2;
    this.#keys = new Int32Array(this.#slotCount * this.#words.length);
    this.#chains = new Array<Rule[] | undefined>(this.#slotCount).fill(undefined);
    for (const chain of chains) {
      if (chain === undefined) continue;
      const key = chain[0]!.key;
      this.#place(this.#find(this.#hash(key), key), key, chain);
    }
  }

  #countHashes(key: Uint32Array, change: 1 | -1): void {
    let hash = 0;
    let segment = 0;
    for (let index = 0; index < this.#words.length && segment < this.#ends.length; index += 1) {
      hash = murmurMix(hash, key[this.#words[index]!]! & this.#masks[index]!);
      if (this.#ends[segment] !== index + 1) continue;
      const filter = this.filters[segment]!;
      if (change > 0) filter.add(hash);
      else filter.remove(hash);
      segment += 1;
    }
  }
}

/** Falling priority; then by id, so that equal priorities do not depend on the order of adding. */
function byRank(one: Rule, other: Rule): number {
  return other.priority - one.priority || (one.id < other.id ? -1 : 1);
}

/** Falling priority; then by mask, for the same reason. */
function bySearchOrder(one: Subtable, other: Subtable): number {
  if (one.maxPriority !== other.maxPriority) return other.maxPriority - one.maxPriority;
  const index = one.mask.findIndex((word, place) => word !== other.mask[place]);
  return index < 0 ? 0 : one.mask[index]! - other.mask[index]!;
}

/** Names of masks that rules share; joining words is slow. */
const maskNames = new WeakMap<Uint32Array, string>();

function nameOfMask(mask: Uint32Array): string {
  let name = maskNames.get(mask);
  if (name === undefined) {
    name = mask.join();
    maskNames.set(mask, name);
  }
  return name;
}

/** Words of a subtable in the program before its segments. */
const programHead = 5;

/** The rules of one stage. */
export class Classifier {
  readonly #byMask = new Map<string, Subtable>();
  #subtables: Subtable[] = [];
  /**
   * All subtables in search order, in one piece of memory: highest priority, number of filters,
   * end, guard, segments. What a walk reads of dozens of subtables is a few cache lines so.
   */
  #program = new Int32Array();
  /** Those of all subtables, in the same order. */
  #filters: readonly Filter[] = [];
  #sorted = true;
  #size = 0;

  /** Number of rules. */
  get size(): number {
    return this.#size;
  }

  /** Number of distinct masks. */
  get subtableCount(): number {
    return this.#subtables.length;
  }

  /** Adds a rule whose id is not here yet. */
  add(rule: Rule): void {
    const name = nameOfMask(rule.mask);
    let subtable = this.#byMask.get(name);
    if (subtable === undefined) {
      subtable = new Subtable(rule.mask);
      this.#byMask.set(name, subtable);
      this.#subtables.push(subtable);
    }
    subtable.add(rule);
    this.#size += 1;
    this.#sorted = false;
  }

  /** Removes a rule by its match and id; false when there is none such. */
  remove(rule: Rule): boolean {
    const name = nameOfMask(rule.mask);
    const subtable = this.#byMask.get(name);
    if (subtable === undefined || !subtable.remove(rule)) return false;
    if (subtable.size === 0) {
      this.#byMask.delete(name);
      this.#subtables.splice(this.#subtables.indexOf(subtable), 1);
    }
    this.#size -= 1;
    this.#sorted = false;
    return true;
  }

  /**
   * The matching rule of highest priority. Every bit of `key` that was looked at is set in `mask`;
   * bits that are set already stay.
   */
  lookup(key: Uint32Array, mask: Uint32Array): Rule | undefined {
    if (!this.#sorted) this.#sort();
    const program = this.#program;
    const count = this.#subtables.length;
    let best: Rule | undefined;
    let at = 0;
    let filter = 0;
    for (let index = 0; index < count; index += 1) {
      if (best !== undefined && program[at]! <= best.priority) break;
      const filtersEnd = filter + program[at + 1]!;
      const end = program[at + 2]!;
      const guard = program[at + 3]!;
      const seen = guard !== 0 && (mask[guardWord]! & guard) === guard;
      if (seen && (key[guardWord]! & guard) !== program[at + 4]!) {
        at = end;
        filter = filtersEnd;
        continue;
      }
      at += programHead;
      let hash = 0;
      for (; at < end; filter += 1) {
        const words = program[at]!;
        at += 1;
        for (const segmentEnd = at + words * 2; at < segmentEnd; at += 2) {
          const word = program[at]!;
          const bits = program[at + 1]!;
          hash = murmurMix(hash, key[word]! & bits);
          mask[word] = mask[word]! | bits;
        }
        if (filter === filtersEnd) {
          const rule = this.#subtables[index]!.best(hash, key);
          if (rule !== undefined && (best === undefined || rule.priority > best.priority)) {
            best = rule;
          }
          break;
        }
        const { counts } = this.#filters[filter]!;
        if (counts[filterPlace(hash, counts)] === 0) break;
      }
      at = end;
      filter = filtersEnd;
    }
    return best;
  }

  #sort(): void {
    this.#subtables.sort(bySearchOrder);
    this.#filters = this.#subtables.flatMap(({ filters }) => filters);
    const program: number[] = [];
    for (const subtable of this.#subtables) {
      const own = subtable.program();
      const end = program.length + 3 + own.length;
      program.push(subtable.maxPriority, subtable.filters.length, end, ...own);
    }
    this.#program = Int32Array.from(program);
    this.#sorted = true;
  }
}
