// pipeline/address-index.ts — which of many address lists hold an address: one walk down a trie.
//
// Firewall rules name the other side by prefix, address set or group, and a set may have ten
// thousand members. A rule for each member would make the rule tables as large as the product; here
// an address leads to its class, the set of all lists that hold it, and rules are chosen by class.
// Classes are numbered once and never change, so what was worked out for a class stays right when
// members come and go: a new member costs a walk down the trie, and only packets of that address
// see another class.
//
// Un-wildcarding: `bits` says how many leading bits of the address were looked at, at least one.
// Every address that agrees in them has the same class, and looking it up looks at the same number
// of bits. So a verdict that looked at no bit of an address cannot change with the lists, and one
// that looked at some changes only with prefixes that have an address in common with those bits.
//
// A trie has path compression: its depth is about the logarithm of the number of prefixes, and the
// memory of a prefix is one or two nodes of 32 (IPv4) or 64 bytes (IPv6). A lookup allocates only
// when it meets a class for the first time.

/** The class of addresses that no list holds. */
export const noClass = 0;

/** Sets of lists, each with a number of its own that is never used again. */
export class AddressClasses {
  readonly #numbers = new Map<string, number>([['', noClass]]);
  readonly #lists = new Map<number, readonly number[]>([[noClass, []]]);
  #next = noClass + 1;

  /** Lists of a class, rising. */
  lists(number: number): readonly number[] {
    return this.#lists.get(number) ?? [];
  }

  /** The class of addresses that are in the lists of a class and in some more. */
  extended(number: number, more: readonly number[]): number {
    if (more.length === 0) return number;
    const all = [...new Set([...this.lists(number), ...more])].sort((one, other) => one - other);
    const name = all.join();
    let known = this.#numbers.get(name);
    if (known === undefined) {
      known = this.#next;
      this.#next += 1;
      this.#numbers.set(name, known);
      this.#lists.set(known, all);
    }
    return known;
  }

  /** Drops the classes of a list that exists no more. */
  forget(list: number): void {
    for (const [name, number] of this.#numbers) {
      if (!this.lists(number).includes(list)) continue;
      this.#numbers.delete(name);
      this.#lists.delete(number);
    }
  }

  get size(): number {
    return this.#lists.size;
  }
}

// A node is a prefix that some list has, or where two of them part. Nodes lie in one array, each in
// a cache line or half of one: the first packet of a flow walks down from cold memory. A node:

/** Length of the prefix. */
const bitsAt = 0;
/** Node of the longer prefixes whose next bit is 0, and of those where it is 1; 0: none. */
const zeroAt = 1;
const oneAt = 2;
/** For what class of packets from above `classAt` was worked out; or one of the next two. */
const aboveAt = 3;
/** The class here; of a node that is not used any more, the next one of those. */
const classAt = 4;
/** The prefix in 32-bit words, first bit highest; bits behind it are zero. */
const prefixAt = 5;

/** No list has this prefix: the class is the one from above. */
const noLists = -2;
/** The class is not worked out. */
const unknownClass = -1;

const root = 0;
/** Words of a node by words of an address: powers of two, of at most a cache line. */
const nodeShifts = { 1: 3, 4: 4 } as const;
const nodesMin = 8;

/** Prefixes of one address family. */
export class AddressTrie {
  /** What the last lookup found. */
  class = noClass;
  /** Leading bits of the address that the last lookup looked at. */
  bits = 0;
  readonly #classes: AddressClasses;
  readonly #shift: number;
  #nodes: Int32Array;
  /** Lists that have the prefix of each node, in the order in which they came. */
  readonly #lists: number[][] = [[]];
  /** A node that is not used any more, head of a chain; 0: none. */
  #free = 0;
  #size = 0;

  /** `words`: 32-bit words of an address, 1 or 4. */
  constructor(classes: AddressClasses, words: 1 | 4) {
    this.#classes = classes;
    this.#shift = nodeShifts[words];
    this.#nodes = new Int32Array(nodesMin << this.#shift);
    this.#nodes[aboveAt] = noLists;
  }

  /** Prefixes of all lists together. */
  get size(): number {
    return this.#size;
  }

  /** Finds the class of an address, given as words in host order; sets `class` and `bits`. */
  find(address: Uint32Array): void {
    const nodes = this.#nodes;
    let node = root;
    let found = noClass;
    for (;;) {
      const at = node << this.#shift;
      if (nodes[at + aboveAt] !== noLists) found = this.#classOf(node, found);
      const bits = nodes[at + bitsAt]!;
      if (nodes[at + zeroAt] === 0 && nodes[at + oneAt] === 0) {
        this.bits = Math.max(1, bits);
        break;
      }
      const child = nodes[at + (bitAt(address, 0, bits) === 0 ? zeroAt : oneAt)]!;
      if (child === 0) {
        this.bits = bits + 1;
        break;
      }
      const below = child << this.#shift;
      const limit = nodes[below + bitsAt]!;
      const same = commonBits(address, nodes, below + prefixAt, limit);
      if (same < limit) {
        this.bits = same + 1;
        break;
      }
      node = child;
    }
    this.class = found;
  }

  /** Adds a prefix to a list that does not have it. Bits behind the prefix must be zero. */
  add(prefix: Uint32Array, bits: number, list: number): void {
    const node = this.#nodeFor(prefix, bits);
    this.#lists[node]!.push(list);
    this.#nodes[(node << this.#shift) + aboveAt] = unknownClass;
    this.#size += 1;
  }

  /** Takes a prefix out of a list; false when the list does not have it. */
  remove(prefix: Uint32Array, bits: number, list: number): boolean {
    const path = [root];
    let node = root;
    while (this.#bitsOf(node) < bits) {
      node = this.#child(node, bitAt(prefix, 0, this.#bitsOf(node)));
      if (node === 0) return false;
      path.push(node);
    }
    const lists = this.#lists[node]!;
    const index = lists.indexOf(list);
    if (this.#bitsOf(node) !== bits || index < 0) return false;
    if (this.#common(prefix, node, bits) < bits) return false;
    lists.splice(index, 1);
    this.#nodes[(node << this.#shift) + aboveAt] = lists.length === 0 ? noLists : unknownClass;
    this.#size -= 1;
    for (let depth = path.length - 1; depth > 0; depth -= 1) {
      if (!this.#shrink(path[depth]!, path[depth - 1]!)) break;
    }
    return true;
  }

  #classOf(node: number, above: number): number {
    const nodes = this.#nodes;
    const at = node << this.#shift;
    if (nodes[at + aboveAt] !== above) {
      nodes[at + classAt] = this.#classes.extended(above, this.#lists[node]!);
      nodes[at + aboveAt] = above;
    }
    return nodes[at + classAt]!;
  }

  /** The node of a prefix, made if there is none. */
  #nodeFor(prefix: Uint32Array, bits: number): number {
    let node = root;
    while (this.#bitsOf(node) < bits) {
      const child = this.#child(node, bitAt(prefix, 0, this.#bitsOf(node)));
      const limit = Math.min(bits, child === 0 ? 0 : this.#bitsOf(child));
      const same = child === 0 ? bits : this.#common(prefix, child, limit);
      if (child !== 0 && same === this.#bitsOf(child)) {
        node = child;
        continue;
      }
      const made = this.#make(prefix, bits);
      const joint = same === bits ? made : this.#make(prefix, same);
      if (joint !== made) this.#hang(joint, made);
      if (child !== 0) this.#hang(joint, child);
      this.#hang(node, joint);
      return made;
    }
    return node;
  }

  /** A node of the first bits of a prefix, with nothing above or below it. */
  #make(prefix: Uint32Array, bits: number): number {
    let node = this.#free;
    if (node !== 0) {
      this.#free = this.#nodes[(node << this.#shift) + classAt]!;
    } else {
      node = this.#lists.length;
      this.#lists.push([]);
      if (node << this.#shift === this.#nodes.length) this.#grow();
    }
    const nodes = this.#nodes;
    const at = node << this.#shift;
    nodes.fill(0, at, at + (1 << this.#shift));
    nodes[at + bitsAt] = bits;
    nodes[at + aboveAt] = noLists;
    for (let index = 0; index * 32 < bits; index += 1) {
      const left = bits - index * 32;
      nodes[at + prefixAt + index] = prefix[index]! & (left >= 32 ? -1 : -1 << (32 - left));
    }
    return node;
  }

  #grow(): void {
    const nodes = new Int32Array(this.#nodes.length * 2);
    nodes.set(this.#nodes);
    this.#nodes = nodes;
  }

  /** Takes a node that says nothing any more out of its parent; false when it must stay. */
  #shrink(node: number, parent: number): boolean {
    const [zero, one] = [this.#child(node, 0), this.#child(node, 1)];
    if (this.#lists[node]!.length > 0 || (zero !== 0 && one !== 0)) return false;
    const nodes = this.#nodes;
    const at = parent << this.#shift;
    nodes[at + (nodes[at + zeroAt] === node ? zeroAt : oneAt)] = zero | one;
    nodes[(node << this.#shift) + classAt] = this.#free;
    this.#free = node;
    return (zero | one) === 0;
  }

  #hang(parent: number, child: number): void {
    const bit = bitAt(this.#nodes, (child << this.#shift) + prefixAt, this.#bitsOf(parent));
    this.#nodes[(parent << this.#shift) + (bit === 0 ? zeroAt : oneAt)] = child;
  }

  #bitsOf(node: number): number {
    return this.#nodes[(node << this.#shift) + bitsAt]!;
  }

  #child(node: number, bit: number): number {
    return this.#nodes[(node << this.#shift) + (bit === 0 ? zeroAt : oneAt)]!;
  }

  #common(prefix: Uint32Array, node: number, limit: number): number {
    return commonBits(prefix, this.#nodes, (node << this.#shift) + prefixAt, limit);
  }
}

/** A bit of the words at `base`. */
function bitAt(words: Uint32Array | Int32Array, base: number, position: number): number {
  return (words[base + (position >>> 5)]! >>> (31 - (position & 31))) & 1;
}

/** Leading bits that an address and the words at `base` have in common, at most `limit`. */
function commonBits(address: Uint32Array, words: Int32Array, base: number, limit: number): number {
  for (let index = 0; index * 32 < limit; index += 1) {
    const different = address[index]! ^ words[base + index]!;
    if (different !== 0) return Math.min(limit, index * 32 + Math.clz32(different));
  }
  return limit;
}

/** Words of address bytes (4 or 16), first bit highest. */
export function addressWords(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(bytes.length / 4);
  for (let index = 0; index < bytes.length; index += 1) {
    words[index >> 2] = (words[index >> 2]! << 8) | bytes[index]!;
  }
  return words;
}
