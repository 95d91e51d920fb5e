// bench/rfc2544/extra/extra.ts — what an extra is: a question that RFC 2544 does not ask.
//
// Operators ask them all the same (RFC 8204, CSIT): does it last, with many flows, while it is
// reconfigured, while it restarts? Each extra answers in rows; a row whose trial the generator
// spoiled has the fault instead of a value.

import type { BuiltinCount, BuiltinResult } from '../builtin.ts';
import type { Path, ScenarioName, System } from '../path.ts';
import type { FrameMix, Generator, Latency, TrialResult } from '../trial.ts';

export interface ExtraOptions {
  readonly frames: FrameMix;
  /** Frames a second in each direction: a share of a throughput that was found before. */
  readonly rate: number;
  /** How long a trial lasts. */
  readonly seconds: number;
  readonly flows: number;
  readonly scenario: ScenarioName;
  readonly signal?: AbortSignal;
}

export interface ExtraRow {
  readonly extra: string;
  readonly system: string;
  readonly scenario: ScenarioName;
  /** What was special: "10000 flows", "1000 tunnels added". */
  readonly case: string;
  /** With its unit: "lost frames", "blocked us". */
  readonly metric: string;
  /** Undefined: there is none, and `fault` says why. */
  readonly value: number | undefined;
  readonly fault?: string;
}

export interface ExtraSetting {
  readonly generator: (path: Path) => Promise<Generator>;
  /** Those that this machine can run; an extra takes the ones that it knows how to ask. */
  readonly systems: readonly System[];
  readonly options: ExtraOptions;
  /** A step begins that will take about so many seconds. */
  readonly progress: (what: string, seconds: number) => void;
}

export interface Extra {
  readonly name: string;
  readonly summary: string;
  /** Rejects when a system cannot be built or the generator cannot be asked. */
  readonly run: (setting: ExtraSetting) => Promise<readonly ExtraRow[]>;
}

/** Whether the counts are of the built-in generator, which knows gaps and blocks. */
export function isBuiltinResult(result: TrialResult): result is BuiltinResult {
  return result.counts.every((count) => 'longestGap' in count);
}

/** Frames of both directions that were lost. */
export function lostOf({ counts }: TrialResult): number {
  return counts.reduce((sum, { sent, received }) => sum + sent - received, 0);
}

/** The longest time for which nothing of a direction passed, in microseconds: lost in a row. */
export function blockedUs(counts: readonly BuiltinCount[], rate: number): number {
  return (Math.max(0, ...counts.map(({ longestGap }) => longestGap.frames)) / rate) * 1e6;
}

/** The time that a share (0 to 1) of all frames did not take longer than, in microseconds. */
export function quantileOf(latencies: readonly (Latency | undefined)[], share: number) {
  const buckets = latencies.flatMap((latency) => latency?.buckets ?? []);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [upTo, count] of buckets.toSorted(([one], [other]) => one - other)) {
    seen += count;
    if (seen >= total * share) return upTo;
  }
  return undefined;
}

/** Makes the rows of one case: either values by metric, or the fault for each of them. */
export function rowsOf(
  about: Omit<ExtraRow, 'metric' | 'value' | 'fault'>,
  values: Readonly<Record<string, number | undefined>>,
  fault: string | undefined,
): ExtraRow[] {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined || fault !== undefined)
    .map(([metric, value]) =>
      fault === undefined
        ? { ...about, metric, value }
        : { ...about, metric, value: undefined, fault },
    );
}

/** Builds a system for the time of `use`, with a generator at its ends, and takes both down. */
export async function withSystem<Result>(
  { generator: open, options }: ExtraSetting,
  system: System,
  use: (generator: Generator) => Promise<Result>,
): Promise<Result> {
  try {
    const generator = await open(await system.build(options.scenario));
    try {
      return await use(generator);
    } finally {
      await generator.close();
    }
  } finally {
    await system.close();
  }
}
