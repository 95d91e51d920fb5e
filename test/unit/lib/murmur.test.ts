// lib/murmur.test.ts — against the published vectors of MurmurHash3_x86_32.

import { expect, test } from 'vitest';
import { murmurFinish, murmurMix } from '../../../src/lib/murmur.ts';

/** Hash of four bytes, first byte lowest; the reference mixes in the length before it finishes. */
function hashOfFour(text: string, seed: number): number {
  return murmurFinish(murmurMix(seed, Buffer.from(text).readUInt32LE()) ^ 4) >>> 0;
}

test.each([
  ['test', 0, 0xba6bd213],
  ['test', 0x9747b28c, 0x704b81dc],
  ['aaaa', 0x9747b28c, 0x5a97808a],
])('of "%s" with seed %d', (text, seed, hash) => {
  expect(hashOfFour(text, seed)).toBe(hash);
});
