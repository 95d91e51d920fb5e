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
// memory of a prefix is one or two nodes. A lookup allocates only when it meets a class for the
// first time.

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

/** A prefix that some list has, or where two of them part. */
class Node {
  /** Length of the prefix. */
  readonly bits: number;
  /** The prefix in 32-bit words, first bit highest; bits behind it are zero. */
  readonly words: Uint32Array;
  lists: number[] = [];
  zero: Node | undefined;
  one: Node | undefined;
  /** Class here for packets that come with class `above`; -1: not worked out. */
  above = -1;
  class = noClass;

  constructor(bits: number, words: Uint32Array) {
    this.bits = bits;
    this.words = words;
  }
}

/** Prefixes of one address family. */
export class AddressTrie {
  /** What the last lookup found. */
  class = noClass;
  /** Leading bits of the address that the last lookup looked at. */
  bits = 0;
  readonly #classes: AddressClasses;
  readonly #root: Node;
  #size = 0;

  /** `words`: 32-bit words of an address, 1 or 4. */
  constructor(classes: AddressClasses, words: 1 | 4) {
    this.#classes = classes;
    this.#root = new Node(0, new Uint32Array(words));
  }

  /** Prefixes of all lists together. */
  get size(): number {
    return this.#size;
  }

  /** Finds the class of an address, given as words in host order; sets `class` and `bits`. */
  find(address: Uint32Array): void {
    let node = this.#root;
    let found = noClass;
    for (;;) {
      if (node.lists.length > 0) found = this.#classOf(node, found);
      const { zero, one } = node;
      if (zero === undefined && one === undefined) {
        this.bits = Math.max(1, node.bits);
        break;
      }
      const child = bitAt(address, node.bits) === 0 ? zero : one;
      if (child === undefined) {
        this.bits = node.bits + 1;
        break;
      }
      const same = commonBits(address, child.words, child.bits);
      if (same < child.bits) {
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
    node.lists.push(list);
    node.above = -1;
    this.#size += 1;
  }

  /** Takes a prefix out of a list; false when the list does not have it. */
  remove(prefix: Uint32Array, bits: number, list: number): boolean {
    const path: Node[] = [this.#root];
    let node: Node | undefined = this.#root;
    while (node !== undefined && node.bits < bits) {
      node = bitAt(prefix, node.bits) === 0 ? node.zero : node.one;
      if (node !== undefined) path.push(node);
    }
    const index = node?.lists.indexOf(list) ?? -1;
    if (node === undefined || node.bits !== bits || index < 0) return false;
    if (commonBits(prefix, node.words, bits) < bits) return false;
    node.lists.splice(index, 1);
    node.above = -1;
    this.#size -= 1;
    for (let depth = path.length - 1; depth > 0; depth -= 1) {
      if (!shrink(path[depth]!, path[depth - 1]!)) break;
    }
    return true;
  }

  #classOf(node: Node, above: number): number {
    if (node.above !== above) {
      node.class = this.#classes.extended(above, node.lists);
      node.above = above;
    }
    return node.class;
  }

  /** The node of a prefix, made if there is none. */
  #nodeFor(prefix: Uint32Array, bits: number): Node {
    let node = this.#root;
    while (node.bits < bits) {
      const right = bitAt(prefix, node.bits) !== 0;
      const child: Node | undefined = right ? node.one : node.zero;
      const same = child && commonBits(prefix, child.words, Math.min(bits, child.bits));
      if (child !== undefined && same === child.bits) {
        node = child;
        continue;
      }
      const made = new Node(bits, prefix.slice());
      const joint = same === undefined || same === bits ? made : new Node(same, prefix.slice());
      if (joint !== made) {
        clearBehind(joint.words, joint.bits);
        hang(joint, made);
      }
      if (child !== undefined) hang(joint, child);
      hang(node, joint);
      return made;
    }
    return node;
  }
}

function hang(parent: Node, child: Node): void {
  if (bitAt(child.words, parent.bits) === 0) parent.zero = child;
  else parent.one = child;
}

/** Takes a node that says nothing any more out of its parent; false when it must stay. */
function shrink(node: Node, parent: Node): boolean {
  const { zero, one } = node;
  if (node.lists.length > 0 || (zero !== undefined && one !== undefined)) return false;
  const rest = zero ?? one;
  if (parent.zero === node) parent.zero = rest;
  else parent.one = rest;
  return rest === undefined;
}

function bitAt(words: Uint32Array, position: number): number {
  return (words[position >>> 5]! >>> (31 - (position & 31))) & 1;
}

/** Leading bits that both have in common, at most `limit`. */
function commonBits(one: Uint32Array, other: Uint32Array, limit: number): number {
  for (let index = 0; index * 32 < limit; index += 1) {
    const different = one[index]! ^ other[index]!;
    if (different !== 0) return Math.min(limit, index * 32 + Math.clz32(different));
  }
  return limit;
}

function clearBehind(words: Uint32Array, bits: number): void {
  for (let index = 0; index < words.length; index += 1) {
    const kept = Math.min(32, Math.max(0, bits - index * 32));
    if (kept < 32) words[index] = kept === 0 ? 0 : words[index]! & (0xffffffff << (32 - kept));
  }
}

/** Words of address bytes (4 or 16), first bit highest. */
export function addressWords(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(bytes.length / 4);
  for (let index = 0; index < bytes.length; index += 1) {
    words[index >> 2] = (words[index >> 2]! << 8) | bytes[index]!;
  }
  return words;
}
