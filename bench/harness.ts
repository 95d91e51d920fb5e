// bench/harness.ts — measures pieces of TypeScript; only this file knows package `benchmark`.
//
// A case prepares, runs and clears up, and only `run` is timed. Whole programs are measured by
// themselves (programs.ts); this is for what runs inside this process.

import Benchmark from 'benchmark';
import type { BenchOptions } from './bench.ts';
import { note, Progress } from './progress.ts';
import type { Report } from './report.ts';

/** One thing to measure. */
export interface Case {
  readonly name: string;
  /** The size that the case varies: flows, or rules. */
  readonly flows: number;
  /** What is counted: "packets". */
  readonly unit: string;
  /** Units that one run() makes. */
  readonly unitsPerRun: number;
  /** Makes ready for so many runs; not timed. */
  readonly prepare?: (runs: number) => void;
  readonly run: () => void;
  /** Clears up after these runs, and throws if they did not do what they should; not timed. */
  readonly finish?: (runs: number) => void;
  /** Shortest time of one sample in ms, for cases that can only prepare a few runs. */
  readonly sampleMs?: number;
  /** Further figures by metric ("latency p99 us"), asked for at the end. */
  readonly extra?: () => Readonly<Record<string, readonly number[]>>;
}

const sampleMsDefault = 20;
const secondsPerCase = 2;
const secondsPerCaseQuick = 0.2;

// The package would compile the text of our functions anew, where they lose their variables.
(Benchmark.support as { decompilation: boolean }).decompilation = false;

/** Measures the cases in turn, each made when its turn comes. */
export function measureCases(
  report: Report,
  options: BenchOptions,
  cases: readonly (() => Case)[],
): void {
  const seconds = options.seconds ?? (options.quick ? secondsPerCaseQuick : secondsPerCase);
  const progress = new Progress(report.bench, cases.length * seconds);
  for (const [index, make] of cases.entries()) {
    progress.step(`case ${index + 1} of ${cases.length}`, seconds);
    const one = make();
    note(`${report.bench}: ${one.name}`);
    const subject = { case: one.name, flows: one.flows, system: 'vtepd' };
    report.add({ ...subject, metric: `${one.unit}/s` }, rates(one, seconds));
    for (const [metric, value] of Object.entries(one.extra?.() ?? {})) {
      report.add({ ...subject, metric }, value);
    }
  }
  progress.done();
}

/** Units a second of every sample. */
function rates(one: Case, seconds: number): number[] {
  const { prepare, finish } = one;
  // The package repeats run() until a sample is long enough, and takes samples until time is up.
  const task = new Benchmark(one.name, {
    fn: () => one.run(),
    setup: prepare && ((): void => prepare(task.count)),
    teardown: finish && ((): void => finish(task.count)),
    maxTime: seconds,
    minTime: (one.sampleMs ?? sampleMsDefault) / 1000,
    minSamples: 5,
    async: false,
  } as Benchmark.Options);
  task.run({ async: false });
  if (task.error !== undefined) throw task.error;
  return task.stats.sample.map((took) => one.unitsPerRun / took);
}
