// bench/rfc2544/builtin.test.ts — in which order the sizes of a mix follow each other.

import { expect, test } from 'vitest';
import { sizesOf } from '../../../../bench/rfc2544/builtin.ts';

const counted = (sizes: readonly number[]) =>
  Object.fromEntries(
    [...new Set(sizes)].map((size) => [size, sizes.filter((s) => s === size).length]),
  );

test('each share has its weight, spread as evenly as it goes', () => {
  const shares = [
    { size: 64, weight: 7 },
    { size: 570, weight: 4 },
    { size: 1518, weight: 1 },
  ];
  const sizes = sizesOf({ name: 'imix', shares });
  expect(counted(sizes)).toEqual({ 64: 7, 570: 4, 1518: 1 });
  for (let at = 0; at < sizes.length; at += 1) {
    const three = [0, 1, 2].map((step) => sizes[(at + step) % sizes.length]);
    expect(three).toContain(64);
  }
});

test('weights that have a common divisor repeat sooner', () => {
  expect(sizesOf({ name: '64', shares: [{ size: 64, weight: 100 }] })).toEqual([64]);
  const shares = [
    { size: 64, weight: 500 },
    { size: 128, weight: 1000 },
  ];
  expect(counted(sizesOf({ name: 'two', shares }))).toEqual({ 64: 1, 128: 2 });
});

test('weights that no order can have are refused by the name of the mix', () => {
  const mix = (...weights: number[]) => ({
    name: 'odd',
    shares: weights.map((weight) => ({ size: 64, weight })),
  });
  for (const wrong of [mix(), mix(0), mix(0.5, 1), mix(1, -1), mix(5000, 1)]) {
    expect(() => sizesOf(wrong)).toThrow(/mix odd/);
  }
});
