// rfc2544/search.test.ts — the search finds what a simulated device can do, or says that it
// cannot.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../../../bench/rfc2544/search/outcome.ts';
import {
  type Probe,
  type SearchSettings,
  search,
  searchDefaults,
} from '../../../../bench/rfc2544/search.ts';
import { lossOf } from '../../../../bench/rfc2544/trial.ts';
import { type DeviceTraits, passes, SimulatedDevice } from '../../../support/simulated-device.ts';

const base: SearchSettings = {
  ...searchDefaults,
  ...{ losses: [0, 0.005, 0.01], lowest: 1000, highest: 14_880_952 },
  ...{ resolution: 0.001, seconds: 60, firstSeconds: 1 },
};

function probeOf(device: SimulatedDevice): Probe {
  return async (rate, seconds) => {
    const count = Math.round(rate * seconds);
    const frames = { name: '64', shares: [{ size: 64, weight: 1 }] };
    const load = { frames, rate, count, direction: 'forward', flows: 1 } as const;
    const result = await device.trial(load);
    return { loss: lossOf(result), fault: result.fault, reached: count / result.seconds };
  };
}

const run = (device: SimulatedDevice, settings: Partial<SearchSettings> = {}) =>
  search(probeOf(device), { ...base, ...settings });

const only = async (device: SimulatedDevice, settings: Partial<SearchSettings> = {}) =>
  (await run(device, { losses: [0], ...settings })).outcomes[0]!.outcome;

/** Whether two neighbouring loads are as close as wanted, or as whole numbers can be. */
const isNarrow = (lower: number, upper: number, resolution: number) =>
  upper <= lower * (1 + resolution) || upper - lower <= 1;

/** The same devices in every run; searches are short enough without shrinking. */
const check = (property: fc.IRawProperty<unknown, true>, numRuns: number) =>
  fc.assert(property, { numRuns, seed: 2544, endOnFailure: true });

const capacities = fc
  .double({ min: Math.log(2000), max: Math.log(14e6), noNaN: true })
  .map((log) => Math.round(Math.exp(log)));
const intervals = fc.record({
  every: fc.double({ min: 0.5, max: 40, noNaN: true }),
  lasting: fc.double({ min: 0.0001, max: 0.02, noNaN: true }),
});
const seeds = fc.nat();
const somewhere = { resolution: fc.constantFrom(0.001, 0.005, 0.02) };
const timings = fc.constantFrom(
  { seconds: 1, firstSeconds: 1 },
  { seconds: 10, firstSeconds: 0.5 },
  { seconds: 60, firstSeconds: 1 },
  { seconds: 180, firstSeconds: 2 },
);

describe('of a device that does the same every time', () => {
  const devices: fc.Arbitrary<DeviceTraits> = fc.record(
    {
      capacity: capacities,
      buffer: fc.nat({ max: 200_000 }),
      stall: intervals,
      collapse: fc.double({ min: 0, max: 2, noNaN: true }),
    },
    { requiredKeys: ['capacity'] },
  );

  test('all rates are right within the resolution, in 3,000 devices', async () => {
    const property = fc.asyncProperty(
      ...[devices, timings, somewhere.resolution, fc.boolean()],
      async (traits, timing, resolution, isHinted) => {
        const start = isHinted ? Math.round(traits.capacity * 0.7) : base.highest;
        const settings = { ...timing, resolution, start };
        const { outcomes } = await run(new SimulatedDevice(traits), settings);
        for (const { loss, outcome } of outcomes) {
          const holds = (rate: number) => passes(traits, rate, timing.seconds, loss);
          if (outcome.kind === 'found') {
            expect(holds(outcome.load)).toBe(true);
            expect(holds(outcome.upper)).toBe(false);
            expect(isNarrow(outcome.load, outcome.upper, resolution)).toBe(true);
          } else if (outcome.kind === 'at-least') expect(holds(base.highest)).toBe(true);
          else expect(holds(base.lowest)).toBe(false);
        }
      },
    );
    await check(property, 3000);
  });

  test('a greater allowed loss is never a lesser rate, nor costs a search of its own', async () => {
    const property = fc.asyncProperty(devices, async (traits) => {
      const { outcomes, trials } = await run(new SimulatedDevice(traits));
      const loads = outcomes.map(({ outcome }) => ('load' in outcome ? outcome.load : 0));
      expect([...loads].sort((a, b) => a - b)).toEqual(loads);
      const long = trials.filter(({ seconds }) => seconds >= base.seconds);
      expect(long.length).toBeLessThan(60);
    });
    await check(property, 500);
  });

  test('most of the trials are short', async () => {
    const device = new SimulatedDevice({ capacity: 812_345 });
    const { trials } = await run(device, { seconds: 180, firstSeconds: 2, losses: [0.01] });
    expect(trials.filter(({ seconds }) => seconds === 180).length).toBeLessThanOrEqual(6);
    expect(trials.length).toBeLessThan(30);
  });
});

describe('of a device that does not', () => {
  test('rates are within its noise, or there is none, in 2,000 devices', async () => {
    const property = fc.asyncProperty(
      ...[capacities, fc.double({ min: 0, max: 0.4, noNaN: true }), seeds, timings],
      async (capacity, noise, seed, timing) => {
        const device = new SimulatedDevice({ capacity, noise, seed });
        const { outcomes } = await run(device, timing);
        for (const { loss, outcome } of outcomes) {
          // A few percent of noise are tolerated, and no reason to have no rate.
          if (noise < 0.02) expect(outcome.kind).toBe('found');
          if (outcome.kind !== 'found') continue;
          const clean = capacity / (1 - loss);
          const slack = 1 + base.resolution + 2 / clean;
          expect(outcome.load).toBeGreaterThanOrEqual((clean * (1 - noise)) / slack - 1);
          expect(outcome.load).toBeLessThanOrEqual(clean * (1 + noise) * slack + 1);
          expect(outcome.noise).toBeLessThanOrEqual(base.noiseMax);
        }
      },
    );
    await check(property, 2000);
  });

  test('votes bring the rate nearer to the middle of the noise', async () => {
    const errorOf = async (votes: number) => {
      const errors: number[] = [];
      for (let seed = 0; seed < 200; seed += 1) {
        const device = new SimulatedDevice({ capacity: 500_000, noise: 0.02, seed });
        const outcome = await only(device, { votes, seconds: 10 });
        if (outcome.kind === 'found') errors.push(Math.abs(outcome.load / 500_000 - 1));
      }
      expect(errors.length).toBeGreaterThan(150);
      return errors.reduce((sum, error) => sum + error, 0) / errors.length;
    };
    expect(await errorOf(9)).toBeLessThan(0.8 * (await errorOf(1)));
  });

  test('noise beyond what is tolerated is said, not averaged away', async () => {
    const said = new Set<Outcome['kind']>();
    for (let seed = 0; seed < 200; seed += 1) {
      const device = new SimulatedDevice({ capacity: 500_000, noise: 0.5, seed });
      const outcome = await only(device, { seconds: 10, votes: 3 });
      said.add(outcome.kind);
      if (outcome.kind === 'unclear') expect(outcome.why).toMatch(/noisy|monotonic|trials/);
    }
    expect(said).toContain('unclear');
  });

  test('a gap below its capacity is found, in 500 devices', async () => {
    const property = fc.asyncProperty(capacities, seeds, async (capacity, seed) => {
      const share = [0.25, 0.5, 0.75, 0.9][seed % 4]!;
      const gap = { from: capacity * (share - 0.04), to: capacity * (share + 0.04) };
      fc.pre(gap.from > 2000);
      const outcome = await only(new SimulatedDevice({ capacity, gap }), { seconds: 10 });
      expect(outcome).toMatchObject({ kind: 'unclear' });
      expect((outcome as { why: string }).why).toContain('not monotonic');
    });
    await check(property, 500);
  });

  test('a link that flaps has no rate without loss, and one with', async () => {
    const flap = { every: 5, lasting: 0.02 };
    const { outcomes } = await run(new SimulatedDevice({ capacity: 300_000, flap }));
    expect(outcomes[0]!.outcome).toEqual({
      kind: 'unclear',
      why: 'Loses more than 0 % even at 1,000 frames/s, the lowest load that is tried.',
    });
    expect(outcomes[1]!.outcome).toMatchObject({ kind: 'found' });
  });

  test('what a flap costs counts only if a trial is long enough to see it', async () => {
    const flap = { every: 50, lasting: 1.5 };
    const device = new SimulatedDevice({ capacity: 300_000, flap });
    expect(await only(device, { losses: [0.01] })).toMatchObject({ kind: 'unclear' });
    expect(await only(device, { losses: [0.01], seconds: 20 })).toMatchObject({ kind: 'found' });
  });

  test('a search that does not end says after how many trials it gave up', async () => {
    const outcome = await only(new SimulatedDevice({ capacity: 300_000 }), { trialsMax: 5 });
    expect(outcome).toEqual({ kind: 'unclear', why: 'No decision after 5 trials.' });
  });
});

describe('when the generator is the limit', () => {
  test('the rate is a lower limit, with what the generator said, in 1,000 pairs', async () => {
    const property = fc.asyncProperty(capacities, capacities, timings, async (a, b, timing) => {
      const [limit, capacity] = [Math.min(a, b), Math.max(a, b) * 1.1];
      const device = new SimulatedDevice({ capacity }, { limit });
      const outcome = await only(device, timing);
      if (outcome.kind !== 'at-least') throw new Error(JSON.stringify(outcome));
      expect(outcome.isGenerator).toBe(true);
      expect(outcome.why).toMatch(/^Sending took/);
      expect(outcome.load).toBeLessThanOrEqual(limit * 1.001 + 1);
      expect(isNarrow(outcome.load, limit, base.resolution)).toBe(true);
    });
    await check(property, 1000);
  });

  test('a slower device is found all the same, also with accidents', async () => {
    const property = fc.asyncProperty(capacities, timings, async (capacity, timing) => {
      const device = new SimulatedDevice({ capacity }, { limit: capacity * 1.5, accident: 7 });
      const outcome = await only(device, timing);
      if (outcome.kind !== 'found') throw new Error(JSON.stringify(outcome));
      expect(isNarrow(outcome.load, capacity + 1, 0.002)).toBe(true);
    });
    await check(property, 500);
  });

  test('one that never works is a sentence after a few trials', async () => {
    const device = new SimulatedDevice({ capacity: 300_000 }, { broken: 'Port 1 is down.' });
    expect(await only(device)).toEqual({ kind: 'unclear', why: 'Port 1 is down.' });
    expect(device.trials).toBeLessThan(6);
  });

  test('a device that loses nothing at the top of the range is not said to end there', async () => {
    const outcome = await only(new SimulatedDevice({ capacity: 20_000_000 }));
    expect(outcome).toMatchObject({ kind: 'at-least', load: base.highest, isGenerator: false });
  });
});

test('a probe that fails ends the search', async () => {
  const failing: Probe = async () => {
    throw new Error('gone');
  };
  await expect(search(failing, base)).rejects.toThrow('gone');
});
