// rfc2544/run.test.ts — a whole run with simulated devices: order, limits, rounds, interruption,
// failures.

import { describe, expect, test } from 'vitest';
import { type Cell, emptyDocument } from '../../../../bench/rfc2544/document.ts';
import type { Extra, ExtraOptions } from '../../../../bench/rfc2544/extras.ts';
import { frameMix } from '../../../../bench/rfc2544/frames.ts';
import type { Path, System } from '../../../../bench/rfc2544/path.ts';
import { tablesOf } from '../../../../bench/rfc2544/report/table.ts';
import { type Run, run } from '../../../../bench/rfc2544/run.ts';
import { type Settings, settingsOf } from '../../../../bench/rfc2544/settings.ts';
import type { Generator } from '../../../../bench/rfc2544/trial.ts';
import {
  type DeviceTraits,
  type GeneratorTraits,
  SimulatedDevice,
} from '../../../support/simulated-device.ts';

const common = { quick: false, rounds: undefined, seconds: undefined, flows: undefined };
const quiet = { pauseSeconds: 0, warmUpSeconds: 0 };
const settings = (changes: Partial<Settings> = {}): Settings => ({
  ...settingsOf({ scenario: 'same-host-same-subnet', frames: '64' }, common),
  ...quiet,
  ...changes,
});

interface Simulated {
  readonly name: string;
  readonly device: DeviceTraits;
  readonly generator?: GeneratorTraits;
  /** Instead of being built. */
  readonly failure?: string;
}

/** Systems whose path carries their name, and the log of what was built and closed. */
function lab(all: readonly Simulated[]) {
  const log: string[] = [];
  const end = (namespace: string) =>
    ({ namespace, device: 'x', mac: '', ip: '', nextHopMac: '' }) as const;
  const systems: System[] = all.map(({ name, failure }) => ({
    name,
    lack: () => undefined,
    version: async () => `${name} 1`,
    build: async (scenario) => {
      log.push(`build ${name} ${scenario}`);
      if (failure !== undefined) throw new Error(failure);
      return { ends: [end(name), end(name)] } as Path;
    },
    close: async () => {
      log.push(`close ${name}`);
    },
  }));
  const generatorOf = async ({ ends }: Path): Promise<Generator> => {
    const { device, generator } = all.find(({ name }) => name === ends[0].namespace)!;
    const simulated = new SimulatedDevice(device, generator);
    return { ...generatorFacts, trial: simulated.trial.bind(simulated), close: closing };
  };
  const closing = async () => void log.push('close generator');
  return { systems, generatorOf, log };
}

const generatorFacts = { name: 'simulation', version: '1' };

function runOf(all: readonly Simulated[], wanted: Settings, changes: Partial<Run> = {}) {
  const { systems, generatorOf, log } = lab(all);
  const [loop, ...tested] = systems;
  const document = emptyDocument(wanted);
  const said: string[] = [];
  const whole: Run = {
    ...{ document, loop: loop!, systems: tested, generatorOf },
    signal: new AbortController().signal,
    step: (what) => void said.push(what),
    note: (text) => void said.push(text),
    version: () => undefined,
    keep: () => undefined,
    extras: [],
    ...changes,
  };
  return { document, log, said, done: run(whole) };
}

const loopOf = (limit: number): Simulated => ({
  name: 'loop',
  device: { capacity: 1e9 },
  generator: { limit },
});
const figures = (cell: Cell | undefined) => cell?.throughput?.goals.map(({ figure }) => figure);

describe('a run', () => {
  test('asks each system the extras, at half of what it carried', async () => {
    const slow: Simulated = { name: 'slow', device: { capacity: 300_000, buffer: 500 } };
    const asked: ExtraOptions[] = [];
    const extra: Extra = {
      name: 'soak',
      summary: '',
      run: async ({ options, systems }) => {
        asked.push(options);
        const about = { extra: 'soak', system: systems[0]!.name, scenario: options.scenario };
        return [{ ...about, case: 'all', metric: 'lost frames', value: 7 }];
      },
    };
    const refusing: Extra = {
      ...extra,
      name: 'restart',
      run: () => Promise.reject(new Error('no')),
    };
    const extras = [extra, refusing];
    const { document, done } = runOf([loopOf(1e6), slow], settings(), { extras });
    await done;
    expect(asked.map(({ rate }) => Math.round(rate / 1000))).toEqual([150]);
    expect(document.extras.map(({ system, value }) => [system, value])).toEqual([['slow', 7]]);
    expect(document.problems).toEqual(['restart, slow: no']);
    const { tables } = tablesOf(document);
    expect(tables.at(-1)!.lines).toEqual([
      ['same-host-same-subnet', 'slow', 'soak', 'all', 'lost frames', '7'],
    ]);
  });

  test('asks no extra of a system that carried nothing', async () => {
    const broken: Simulated = { name: 'broken', device: { capacity: 1 } };
    const extra: Extra = {
      name: 'soak',
      summary: '',
      run: () => Promise.reject(new Error('asked')),
    };
    const { document, done } = runOf([loopOf(1e6), broken], settings(), { extras: [extra] });
    await done;
    expect(document.problems.at(-1)).toBe(
      'soak, broken: no throughput is known to load it by; say --extra-rate',
    );
  });

  test('measures the generator alone, then each system with all methods', async () => {
    const slow: Simulated = { name: 'slow', device: { capacity: 300_000, buffer: 500 } };
    const { document, log, done } = runOf([loopOf(1e6), slow], settings());
    await done;
    expect(document.partial).toBeUndefined();
    expect(log.filter((line) => line.startsWith('build'))).toEqual([
      'build loop same-host-same-subnet',
      'build slow same-host-same-subnet',
    ]);
    expect(log.filter((line) => line.startsWith('close')).length).toBe(4);
    const [cell] = document.cells;
    const [ndr, pdr] = figures(cell)!;
    expect(ndr!.rate / 300_050).toBeCloseTo(1, 2);
    expect(pdr!.rate / 301_500).toBeCloseTo(1, 2);
    expect(ndr!.atLeast).toBeUndefined();
    expect(cell!.throughput!.goals[0]!.rounds.length).toBe(3);
    const { full, points } = cell!.loss!;
    expect(full / 450_000).toBeCloseTo(1, 1);
    expect(points[0]!.loss).toBeCloseTo(1 - 300 / 450, 2);
    expect(points.slice(-2).map(({ loss }) => loss)).toEqual([0, 0]);
    expect(cell!.latency!.map(({ load }) => load)).toEqual([0.1, 0.5, 0.9, 1]);
    expect(cell!.latency![0]!.latency!.min).toBe(20);
    // A burst of N at a million a second leaves 0.7 N in a buffer of 500.
    expect(cell!.backToBack!.frames!.average / (500 / 0.7)).toBeCloseTo(1, 1);
    expect(cell!.backToBack!.bufferSeconds! / (500 / 1e6)).toBeCloseTo(1, 1);
    const [alone] = document.limits;
    expect(figures(alone)![0]!.rate / 1e6).toBeCloseTo(1, 1);
    expect(alone!.latency!.length).toBe(4);
  });

  test('a device as fast as its generator has a lower limit and no figure', async () => {
    const same: Simulated = { name: 'same', device: { capacity: 970_000 } };
    const wanted = settings({ methods: ['throughput'] });
    const { document, done } = runOf([loopOf(1e6), same], wanted);
    await done;
    const [figure] = figures(document.cells[0])!;
    expect(figure!.atLeast).toMatch(/without a device does (99|1,00)/);
    expect(document.cells[0]!.throughput!.goals[0]!.rounds[0]!.kind).toBe('at-least');
  });

  test('a generator as fast as the line limits nothing: loss is the device', async () => {
    const wire: Simulated = { name: 'loop', device: { capacity: 1e9 } };
    const near: Simulated = { name: 'near', device: { capacity: 14_000_000 } };
    const { document, done } = runOf([wire, near], settings({ methods: ['throughput'] }));
    await done;
    const [figure] = figures(document.cells[0])!;
    expect(figure!.atLeast).toBeUndefined();
    expect(figure!.rate / 14e6).toBeCloseTo(1, 2);
  });

  test('loss on the loop itself is said, and no system gets a figure', async () => {
    const lossy: Simulated = { name: 'loop', device: { capacity: 1e9, leak: 0.02 } };
    const good: Simulated = { name: 'good', device: { capacity: 300_000 } };
    const { document, done, log } = runOf([lossy, good], settings());
    await expect(done).rejects.toThrow(
      /^Without any device, 64 bytes, both: Loses more than 0.5 %/,
    );
    expect(document.cells).toEqual([]);
    expect(document.partial).toMatch(/^The run ended early: Without any device/);
    expect(log).not.toContain('build good same-host-same-subnet');
    expect(log.at(-1)).toBe('close loop');
  });

  test('loss on the loop at one of two goals leaves the figure of the other', async () => {
    const lossy: Simulated = { name: 'loop', device: { capacity: 1e9, leak: 0.002 } };
    const good: Simulated = { name: 'good', device: { capacity: 300_000 } };
    const { document, done } = runOf([lossy, good], settings({ methods: ['throughput'] }));
    await done;
    const [ndr, pdr] = document.cells[0]!.throughput!.goals;
    expect(ndr!.figure).toBeUndefined();
    expect(ndr!.why).toContain('without any device, Loses more than 0 %');
    expect(pdr!.figure!.rate).toBeGreaterThan(290_000);
  });

  test('a generator that cannot work ends the run with what it says', async () => {
    const broken: Simulated = { ...loopOf(1e6), generator: { broken: 'Port 1 is down.' } };
    const good: Simulated = { name: 'good', device: { capacity: 300_000 } };
    const { done } = runOf([broken, good], settings());
    await expect(done).rejects.toThrow('Port 1 is down.');
  });

  test('a system that cannot be built is named, and the next one measured', async () => {
    const bad: Simulated = { name: 'bad', device: { capacity: 1 }, failure: 'no such module' };
    const good: Simulated = { name: 'good', device: { capacity: 300_000 } };
    const wanted = settings({ methods: ['throughput'] });
    const { document, done, log } = runOf([loopOf(1e6), bad, good], wanted);
    await done;
    expect(document.problems).toEqual(['bad, same-host-same-subnet: no such module']);
    expect(document.cells.map(({ system }) => system)).toEqual(['good']);
    expect(log).toContain('close bad');
  });

  test('a run in which no system could be built is no success', async () => {
    const failure = 'no such module\nand more of what it said';
    const bad: Simulated = { name: 'bad', device: { capacity: 1 }, failure };
    const { done, document } = runOf([loopOf(1e6), bad], settings());
    await expect(done).rejects.toThrow(/^bad, same-host-same-subnet: no such module$/);
    expect(document.partial).toContain('ended early');
  });

  test('interrupted, it keeps what it has, marks it, and closes everything', async () => {
    const controller = new AbortController();
    const one: Simulated = { name: 'one', device: { capacity: 300_000 } };
    const two: Simulated = { name: 'two', device: { capacity: 200_000 } };
    const wanted = settings({ methods: ['throughput'] });
    const { document, done, log } = runOf([loopOf(1e6), one, two], wanted, {
      signal: controller.signal,
      step: (what) => {
        if (what.startsWith('two') && what.includes('round 2')) controller.abort();
      },
    });
    await done;
    expect(document.partial).toContain('interrupted');
    expect(document.ended).toBeDefined();
    const [first, second] = document.cells;
    expect(figures(first)![0]!.rate / 300_000).toBeCloseTo(1, 2);
    expect(second!.why).toContain('interrupted');
    expect(second!.throughput!.goals[0]!.rounds.length).toBe(1);
    expect(log.slice(-2)).toEqual(['close generator', 'close two']);
  });
});

test('mixes are measured as mixes', async () => {
  const good: Simulated = { name: 'good', device: { capacity: 300_000 } };
  const wanted = settings({ frames: [frameMix('paper')], methods: ['throughput'] });
  const { document, done } = runOf([loopOf(1e6), good], wanted);
  await done;
  expect(document.cells[0]!.frames.name).toBe('paper');
});
