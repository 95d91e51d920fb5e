// cli/human.test.ts — three digits and a unit.

import { describe, expect, it } from 'vitest';
import { bitRate, bytes, count, duration, microseconds, plural } from '../../../src/cli/human.ts';

describe('numbers for people', () => {
  it.each([
    [0, '0'],
    [7, '7'],
    [0.25, '0.3'],
    [99.95, '100'],
    [499.5, '500'],
    [999, '999'],
    [999.6, '1.00 k'],
    [1000, '1.00 k'],
    [9994, '9.99 k'],
    [9996, '10.0 k'],
    [99_960, '100 k'],
    [123_456, '123 k'],
    [999_999, '1.00 M'],
    [3.4e9, '3.40 G'],
    [1e18, '1000 P'],
  ])('count %d is %s', (value, text) => expect(count(value)).toBe(text));

  it('have units', () => {
    expect(bitRate(1_234_567_890)).toBe('1.23 Gbit/s');
    expect(bitRate(12)).toBe('12 bit/s');
    expect(bytes(64_000)).toBe('64.0 kB');
  });

  it.each([
    [0, '0 us'],
    [86.6, '87 us'],
    [1234, '1.23 ms'],
    [15_700, '15.7 ms'],
    [120_000, '120 ms'],
    [2_500_000, '2.50 s'],
  ])('%d microseconds are %s', (value, text) => expect(microseconds(value)).toBe(text));

  it.each([
    [0.25, '0.3 s'],
    [59.4, '59 s'],
    [125, '2 min 5 s'],
    [3600, '1 h'],
    [11_040, '3 h 4 min'],
    [453_600, '5 d 6 h'],
  ])('duration %d is %s', (seconds, text) => expect(duration(seconds)).toBe(text));

  it('are counted in words', () => {
    expect([plural(1, 'change'), plural(0, 'change')]).toEqual(['1 change', '0 changes']);
    expect(plural(2, 'entry', 'entries')).toBe('2 entries');
  });
});
