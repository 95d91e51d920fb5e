// bench/harness.ts — how benches measure and report; only this file knows package `benchmark`.
//
// A bench is a list of cases; a case prepares, runs and clears up, and only `run` is timed. Figures
// are medians over many samples, with the range that the middle half of them lies in, since means
// follow the one sample in which the machine did something else. Every report says on which
// machine, kernel and commit it was made; times of different machines are not to be compared.
//
// Options of every bench: --quick (a smoke test of about a second a case; its figures mean little),
// --json (the report as one JSON object).

import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release } from 'node:os';
import Benchmark from 'benchmark';

/** One thing to measure. */
export interface Case {
  readonly name: string;
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
  /** Further figures by name, asked for at the end. */
  readonly extra?: () => Readonly<Record<string, number>>;
}

export interface Result {
  readonly name: string;
  readonly unit: string;
  /** Units a second. */
  readonly median: number;
  /** Units a second at the quarters: half of the samples lie between. */
  readonly low: number;
  readonly high: number;
  readonly samples: number;
  readonly extra: Readonly<Record<string, number>>;
}

interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  readonly load: number;
  readonly commit: string;
}

const sampleMsDefault = 20;
const secondsPerCase = 2;
const secondsPerCaseQuick = 0.2;

// The package would compile the text of our functions anew, where they lose their variables.
(Benchmark.support as { decompilation: boolean }).decompilation = false;

/** Whether this is a smoke test: benches then leave their largest cases out. */
export const quick = process.argv.includes('--quick');

/** Measures the cases in turn, each made when its turn comes, and prints the report. */
export function bench(title: string, cases: readonly (() => Case)[]): void {
  const results: Result[] = [];
  const json = process.argv.includes('--json');
  const machine = machineOf();
  if (!json) console.log(heading(title, machine));
  for (const make of cases) {
    const result = measure(make());
    results.push(result);
    if (!json) console.log(line(result));
  }
  if (json) console.log(JSON.stringify({ bench: title, quick, machine, results }, undefined, 2));
}

function measure(one: Case): Result {
  const { prepare, finish } = one;
  // The package repeats run() until a sample is long enough, and takes samples until time is up.
  const task = new Benchmark(one.name, {
    fn: () => one.run(),
    setup: prepare && ((): void => prepare(task.count)),
    teardown: finish && ((): void => finish(task.count)),
    maxTime: quick ? secondsPerCaseQuick : secondsPerCase,
    minTime: (one.sampleMs ?? sampleMsDefault) / 1000,
    minSamples: 5,
    async: false,
  } as Benchmark.Options);
  task.run({ async: false });
  if (task.error !== undefined) throw task.error;
  const rates = task.stats.sample.map((seconds) => one.unitsPerRun / seconds);
  const at = (share: number) => quantile(rates, share);
  return {
    name: one.name,
    unit: one.unit,
    median: at(0.5),
    low: at(0.25),
    high: at(0.75),
    samples: rates.length,
    extra: one.extra?.() ?? {},
  };
}

/** The value that `share` of the list is not above; NaN of an empty list. */
export function quantile(list: readonly number[], share: number): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

function machineOf(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    kernel: release(),
    node: process.versions.node,
    load: loadavg()[0] ?? 0,
    commit: commitOf(),
  };
}

/** The commit, with "+" when files differ from it. */
function commitOf(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? '+' : ''}`;
  } catch {
    return 'unknown';
  }
}

function heading(title: string, machine: Machine): string {
  const { cpu, cores, kernel, node, load, commit } = machine;
  return `${title}${quick ? ' (quick: a smoke test, not a measurement)' : ''}
${cpu}, ${cores} cores, load ${load.toFixed(1)}; kernel ${kernel}, Node ${node}, commit ${commit}`;
}

function line({ name, unit, median, low, high, samples, extra }: Result): string {
  const spread = `${amount(low)} to ${amount(high)}, ${samples} samples`;
  const more = Object.entries(extra).map(([what, value]) => `, ${what} ${amount(value)}`);
  const rate = `${amount(median).padStart(8)} ${unit}/s`;
  return `  ${name.padEnd(34)} ${rate}  (${spread})${more.join('')}`;
}

/** A number as people read it: three digits and a scale. */
function amount(value: number): string {
  const scales = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const;
  for (const [scale, letter] of scales) {
    if (value >= scale) return `${(value / scale).toPrecision(3)}${letter}`;
  }
  return value.toPrecision(3);
}
