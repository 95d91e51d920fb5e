// slowpath/latency.test.ts — percentiles within a quarter octave of the truth.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyHistogram } from '../../../src/slowpath/latency.ts';

test('a percentile is never below the true one, nor more than 19 % above it', () => {
  const durations = fc.array(fc.integer({ min: 1, max: 10_000_000 }), { minLength: 1 });
  fc.assert(
    fc.property(durations, fc.constantFrom(0.5, 0.9, 0.99, 1), (list, fraction) => {
      const histogram = new LatencyHistogram();
      for (const us of list) histogram.add(us);
      const sorted = [...list].sort((a, b) => a - b);
      const truth = sorted[Math.max(0, Math.ceil(fraction * list.length) - 1)]!;
      const said = histogram.percentileUs(fraction);
      expect(said).toBeGreaterThanOrEqual(Math.floor(truth / 1.001));
      expect(said).toBeLessThanOrEqual(Math.ceil(truth * 1.19 + 1));
      expect(histogram.maxUs).toBe(sorted.at(-1));
      expect(histogram.total).toBe(list.length);
    }),
  );
});

test('nothing counted is zero', () => {
  expect(new LatencyHistogram().percentileUs(0.99)).toBe(0);
});
