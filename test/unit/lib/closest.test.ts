// lib/closest.test.ts — what somebody who mistyped probably meant.

import { describe, expect, test } from 'vitest';
import { closest, didYouMean } from '../../../src/lib/closest.ts';

describe('closest', () => {
  test.each([
    ['netwroks', 'networks'],
    ['tunnelip', 'tunnelIp'],
    ['vnii', 'vni'],
    ['vin', 'vni'],
    ['port', 'ports'],
    ['securtyGroup', 'securityGroups'],
  ])('finds for %s the name %s', (word, meant) => {
    const names = ['hosts', 'networks', 'tunnelIp', 'vni', 'ports', 'securityGroups', 'mac'];
    expect(closest(word, names)).toBe(meant);
  });

  test('finds nothing that is far', () => {
    expect(closest('zebra', ['vni', 'mac', 'hosts'])).toBeUndefined();
    expect(closest('x', [])).toBeUndefined();
    expect(closest('', ['hosts'])).toBeUndefined();
  });

  test('prefers the nearest, and of equal ones the first', () => {
    expect(closest('blu2', ['blue1', 'blue2'])).toBe('blue2');
    expect(closest('blue3', ['blue1', 'blue2'])).toBe('blue1');
  });

  test('stays fast for a long word', () => {
    expect(closest('a'.repeat(1e6), ['b'.repeat(1e6)])).toBeUndefined();
  });
});

test('didYouMean is a phrase, or nothing', () => {
  expect(didYouMean('vin', ['vni'])).toBe(' (did you mean "vni"?)');
  expect(didYouMean('zebra', ['vni'])).toBe('');
});
