// lib/units.test.ts — rates and durations as people write them.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SwitchError } from '../../../src/lib/errors.ts';
import {
  formatDuration,
  formatRate,
  parseDuration,
  parseRate,
  tryParseDuration,
  tryParseRate,
} from '../../../src/lib/units.ts';

describe('rates', () => {
  test.each([
    ['1bit', 1],
    ['64kbit', 64_000],
    ['100mbit', 100_000_000],
    ['100 Mbit', 100_000_000],
    ['2.5gbit', 2_500_000_000],
    ['1.1gbit', 1_100_000_000],
    ['1tbit', 1e12],
  ])('%s is %d bits per second', (text, value) => expect(parseRate(text)).toBe(value));

  test.each([
    '',
    '100',
    'mbit',
    '-1mbit',
    '0mbit',
    '1.5bit',
    '100MB',
    '1e3kbit',
    '.5gbit',
    '99999tbit',
  ])('%j is refused', (text) => {
    expect(tryParseRate(text)).toBeUndefined();
    expect(() => parseRate(text)).toThrow(SwitchError);
  });

  test('have one form for one value', () => {
    expect(formatRate(parseRate('100000kbit'))).toBe('100mbit');
    expect(formatRate(parseRate('2.5gbit'))).toBe('2500mbit');
    expect(formatRate(0)).toBe('0bit');
  });

  test('come back from their form', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (value) => {
        expect(parseRate(formatRate(value))).toBe(value);
      }),
    );
  });
});

describe('durations', () => {
  test.each([
    ['1ms', 1],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
  ])('%s is %d milliseconds', (text, value) => {
    expect(parseDuration(text)).toBe(value);
  });

  test.each(['5', '5 minutes', '0s', '0.5ms', '-1s', '1us'])('%j is refused', (text) => {
    expect(tryParseDuration(text)).toBeUndefined();
    expect(() => parseDuration(text)).toThrow(SwitchError);
  });

  test('take the largest unit without a fraction', () => {
    expect(formatDuration(90_000)).toBe('90s');
    expect(formatDuration(3_600_000)).toBe('1h');
    expect(() => formatDuration(0.5)).toThrow(RangeError);
  });
});
