// pipeline/address-index.test.ts — tries against a plain search, and how few bits they look at.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Cidr, cidrContains, parseIp, tryParseIpOrCidr } from '../../../src/lib/addresses.ts';
import {
  AddressClasses,
  AddressTrie,
  addressWords,
  noClass,
} from '../../../src/pipeline/address-index.ts';

const cidr = (text: string) => tryParseIpOrCidr(text)!;

class Lists {
  readonly classes = new AddressClasses();
  readonly trie: AddressTrie;
  readonly #members: { readonly prefix: Cidr; readonly list: number }[] = [];

  constructor(words: 1 | 4) {
    this.trie = new AddressTrie(this.classes, words);
  }

  add(prefix: Cidr, list: number): void {
    this.#members.push({ prefix, list });
    this.trie.add(addressWords(prefix.bytes), prefix.prefix, list);
  }

  remove(index: number): void {
    const [gone] = this.#members.splice(index, 1);
    const { prefix, list } = gone!;
    expect(this.trie.remove(addressWords(prefix.bytes), prefix.prefix, list)).toBe(true);
  }

  has(prefix: Cidr, list: number): boolean {
    return this.#members.some(
      (one) => one.list === list && JSON.stringify(one.prefix) === JSON.stringify(prefix),
    );
  }

  get count(): number {
    return this.#members.length;
  }

  /** Lists that hold the address, and the bits that were looked at. */
  find(address: Uint8Array): { lists: readonly number[]; bits: number } {
    this.trie.find(addressWords(address));
    return { lists: this.classes.lists(this.trie.class), bits: this.trie.bits };
  }

  plainly(address: Uint8Array): number[] {
    const lists = this.#members
      .filter(({ prefix }) => cidrContains(prefix, address))
      .map(({ list }) => list);
    return [...new Set(lists)].sort((one, other) => one - other);
  }
}

describe('an address', () => {
  const lists = new Lists(1);
  lists.add(cidr('10.0.0.0/8'), 1);
  lists.add(cidr('10.1.2.3'), 2);
  lists.add(cidr('10.1.2.0/24'), 3);
  lists.add(cidr('10.1.2.0/24'), 4);

  test.each([
    ['192.0.2.1', [], 1],
    ['8.0.0.1', [], 7],
    ['10.128.0.1', [1], 9],
    ['10.1.2.128', [1, 3, 4], 25],
    ['10.1.2.3', [1, 2, 3, 4], 32],
  ])('%s is in the lists that hold it, found by few bits', (text, members, bits) => {
    expect(lists.find(parseIp(text))).toEqual({ lists: members, bits });
  });

  test('of no list has no class, and one bit is looked at even where there are no lists', () => {
    expect(new Lists(4).find(parseIp('fd00::1'))).toEqual({ lists: [], bits: 1 });
    lists.find(parseIp('192.0.2.1'));
    expect(lists.trie.class).toBe(noClass);
  });
});

test('a class is the same number however it is reached, until its list is forgotten', () => {
  const classes = new AddressClasses();
  const both = classes.extended(classes.extended(noClass, [7]), [3]);
  expect(classes.extended(noClass, [3, 7])).toBe(both);
  expect(classes.lists(both)).toEqual([3, 7]);
  classes.forget(7);
  expect(classes.lists(both)).toEqual([]);
  expect(classes.extended(noClass, [3, 7])).not.toBe(both);
});

test('a prefix that a list does not have cannot be taken out', () => {
  const lists = new Lists(1);
  lists.add(cidr('10.0.0.0/24'), 1);
  const remove = (text: string, list: number) =>
    lists.trie.remove(addressWords(cidr(text).bytes), cidr(text).prefix, list);
  expect(remove('10.0.0.0/24', 2)).toBe(false);
  expect(remove('10.0.1.0/24', 1)).toBe(false);
  expect(remove('10.0.0.0/16', 1)).toBe(false);
  expect(lists.trie.size).toBe(1);
});

describe('random lists', () => {
  const prefixOf = (length: 4 | 16) =>
    fc
      .tuple(
        fc.uint8Array({ minLength: length, maxLength: length }),
        fc.integer({ min: 0, max: length * 8 }),
      )
      .map(([random, prefix]): Cidr => {
        // Few different bytes, so that prefixes nest and part late.
        const bytes = random.map((byte, index) => {
          const bits = Math.min(8, Math.max(0, prefix - index * 8));
          return (byte % 3) & ((0xff << (8 - bits)) & 0xff);
        });
        return { family: length === 4 ? 4 : 6, bytes, prefix };
      });
  const scene = (length: 4 | 16) =>
    fc.tuple(
      fc.array(fc.tuple(prefixOf(length), fc.nat(4)), { maxLength: 30 }),
      fc.array(fc.nat(29), { maxLength: 20 }),
      fc.array(prefixOf(length), { minLength: 10, maxLength: 20 }),
    );

  test.each([4, 16] as const)('of %i-byte addresses hold what a plain search finds', (length) => {
    fc.assert(
      fc.property(scene(length), ([members, gone, asked]) => {
        const lists = new Lists(length === 4 ? 1 : 4);
        for (const [prefix, list] of members) {
          if (!lists.has(prefix, list)) lists.add(prefix, list);
        }
        for (const index of gone) if (index < lists.count) lists.remove(index);
        expect(lists.trie.size).toBe(lists.count);
        for (const { bytes } of asked) {
          const { lists: found, bits } = lists.find(bytes);
          expect(found).toEqual(lists.plainly(bytes));
          // Whatever stands behind the bits that were looked at changes nothing.
          const other = bytes.map((byte, index) => {
            const kept = Math.min(8, Math.max(0, bits - index * 8));
            return byte ^ (0xff >> kept);
          });
          expect(lists.find(other)).toEqual({ lists: found, bits });
        }
      }),
      { numRuns: 500 },
    );
  });
});
