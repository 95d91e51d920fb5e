// rfc2544/methods.test.ts — what becomes of outcomes and times: averages, limits, percentiles.

import { describe, expect, test } from 'vitest';
import { backToBackResult } from '../../../../bench/rfc2544/methods/back-to-back.ts';
import { merged, percentile } from '../../../../bench/rfc2544/methods/latency.ts';
import { goalResult, judged, trimmedMean } from '../../../../bench/rfc2544/methods/throughput.ts';
import type { Outcome } from '../../../../bench/rfc2544/search/outcome.ts';

const found = (load: number): Outcome => ({
  ...{ kind: 'found', load, upper: load + 1, forwarded: load, noise: 0 },
});
const atLeast = (load: number): Outcome => ({
  ...{ kind: 'at-least', load, forwarded: load, why: 'slow generator', isGenerator: true },
});

describe('rounds', () => {
  test('the highest and the lowest are left out from three on', () => {
    expect(trimmedMean([5, 100, 7, 0, 6])).toBe(6);
    expect(trimmedMean([1, 2, 9])).toBe(2);
    expect(trimmedMean([1, 2])).toBe(1.5);
    expect(trimmedMean([4])).toBe(4);
  });

  test('one round that found nothing leaves no figure', () => {
    const why = 'The device is too noisy.';
    const result = goalResult(0, [found(1000), { kind: 'unclear', why }, found(1002)]);
    expect(result.figure).toBeUndefined();
    expect(result.why).toBe('In 1 of 3 rounds: The device is too noisy.');
  });

  test('one round that the generator ended makes it a lower limit', () => {
    const result = goalResult(0, [found(1000), atLeast(990), found(1002)]);
    expect(result.figure).toEqual({ rate: 1000, forwarded: 1000, atLeast: 'slow generator' });
  });
});

describe('the limit of the generator', () => {
  const limit = { rate: 1000, isGenerator: true };

  test('leaves alone what is well below it', () => {
    expect(judged(found(899), limit)).toEqual(found(899));
  });

  test('makes a lower limit of what is near it, found or not', () => {
    expect(judged(found(900), limit)).toMatchObject({ kind: 'at-least', load: 900 });
    const range = { ...atLeast(1000), why: 'the highest load', isGenerator: false } as Outcome;
    expect(judged(range, limit)).toMatchObject({ isGenerator: true, load: 1000 });
    expect(judged(range, limit)).toHaveProperty('why', expect.stringContaining('1,000 frames/s'));
  });

  test('is none where the line ended the search of the generator', () => {
    expect(judged(found(999), { rate: 1000, isGenerator: false })).toEqual(found(999));
  });

  test('that is not known leaves no figure', () => {
    expect(judged(found(10), { why: 'It loses.' })).toEqual({ kind: 'unclear', why: 'It loses.' });
  });
});

describe('latency', () => {
  const part = (count: number, min: number, max: number, at: readonly [number, number][]) => ({
    ...{ count, min, average: (min + max) / 2, max, jitter: 1, buckets: at },
  });

  test('of two directions is that of all their frames', () => {
    const both = merged([part(90, 10, 20, [[10, 90]]), part(10, 5, 100, [[100, 10]])])!;
    expect(both).toMatchObject({ count: 100, min: 5, max: 100 });
    expect(both.average).toBeCloseTo(0.9 * 15 + 0.1 * 52.5, 9);
    expect(percentile(both, 0.5)).toBe(10);
    expect(percentile(both, 0.9)).toBe(10);
    expect(percentile(both, 0.91)).toBe(100);
  });

  test('percentiles are never above the greatest time', () => {
    expect(percentile(part(1, 10, 97, [[100, 1]]), 0.999)).toBe(97);
  });

  test('of nothing is nothing', () => {
    expect(merged([part(0, 0, 0, [])])).toBeUndefined();
  });
});

describe('bursts', () => {
  test('tell of the buffer what the device did not serve meanwhile (RFC 9004, 6.4)', () => {
    const result = backToBackResult(1000, [found(90), found(110)], 400);
    expect(result.frames).toEqual({ average: 100, min: 90, max: 110, deviation: 10 });
    expect(result.bufferSeconds).toBeCloseTo(0.1 * (1 - 0.4), 9);
  });

  test('that did not end by loss tell of no buffer', () => {
    const result = backToBackResult(1000, [found(90), atLeast(2000)], 400);
    expect(result.isAtLeast).toBe(true);
    expect(result.bufferSeconds).toBeUndefined();
  });

  test('that a device does not pass are said', () => {
    const result = backToBackResult(1000, [{ kind: 'unclear', why: 'Loses.' }], undefined);
    expect(result).toMatchObject({ frames: undefined, why: 'Loses.' });
  });
});
