// bench/rfc2544/methods/latency.ts — times from sending to receiving (RFC 2544, 26.2), at shares
// of the throughput.
//
// The standard wants the average of twenty trials of two minutes at the throughput. Averages hide
// what operators ask for, so the times of all rounds go into one histogram. The same is measured
// without a device: what the generator itself takes is in every figure.

import { type Latency, lossOf } from '../trial.ts';
import { type Asked, offerTwice, trialSeconds } from './asked.ts';

/** Shares of frames that were at least as fast. */
export const percentiles = [0.5, 0.9, 0.99, 0.999] as const;

export interface LatencyResult {
  /** Share of the throughput, and frames a second in each direction. */
  readonly load: number;
  readonly rate: number;
  /** Of all rounds without a fault; undefined when nothing was timed. */
  readonly latency: Latency | undefined;
  /** Microseconds, in the order of `percentiles`. */
  readonly percentiles: readonly number[];
  /** Averages of the rounds, in microseconds. */
  readonly averages: readonly number[];
  /** 0 to 1: the greatest of the rounds. */
  readonly loss: number | undefined;
  /** Frames of all rounds; undefined: the generator does not tell. */
  readonly reordered: number | undefined;
  readonly duplicated: number | undefined;
  /** What the generator complained about in the last trial that it spoiled. */
  readonly fault: string | undefined;
}

/** Times of several trials or directions as if they were of one. */
export function merged(parts: readonly Latency[]): Latency | undefined {
  const timed = parts.filter(({ count }) => count > 0);
  if (timed.length === 0) return undefined;
  const count = timed.reduce((sum, part) => sum + part.count, 0);
  const weighted = (of: (part: Latency) => number) =>
    timed.reduce((sum, part) => sum + of(part) * (part.count / count), 0);
  const buckets = new Map<number, number>();
  for (const [upTo, held] of timed.flatMap((part) => part.buckets)) {
    buckets.set(upTo, (buckets.get(upTo) ?? 0) + held);
  }
  return {
    count,
    min: Math.min(...timed.map((part) => part.min)),
    average: weighted((part) => part.average),
    max: Math.max(...timed.map((part) => part.max)),
    jitter: weighted((part) => part.jitter),
    buckets: [...buckets].sort(([a], [b]) => a - b),
  };
}

/** The upper bound of the bucket that this share of the times is not above, but never above max. */
export function percentile({ buckets, max }: Latency, share: number): number {
  const total = buckets.reduce((sum, [, held]) => sum + held, 0);
  let seen = 0;
  for (const [upTo, held] of buckets) {
    seen += held;
    if (seen >= share * total) return Math.min(upTo, max);
  }
  return max;
}

/** Sum of what was counted; undefined when nobody counted. */
function total(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0);
}

export const latencySeconds = ({ settings }: Pick<Asked, 'settings'>): number =>
  settings.latencyLoads.length * settings.rounds * trialSeconds(settings, settings.seconds);

/** At each share of `throughput`, frames a second in each direction. */
export async function latency(asked: Asked, throughput: number): Promise<LatencyResult[]> {
  asked.step('latency', latencySeconds(asked));
  const results: LatencyResult[] = [];
  for (const load of asked.settings.latencyLoads) {
    results.push(await atLoad(asked, load, Math.max(1, Math.round(throughput * load))));
  }
  return results;
}

async function atLoad(asked: Asked, load: number, rate: number): Promise<LatencyResult> {
  const rounds: Latency[] = [];
  const losses: number[] = [];
  const reordered: (number | undefined)[] = [];
  const duplicated: (number | undefined)[] = [];
  let fault: string | undefined;
  for (let round = 1; round <= asked.settings.rounds; round += 1) {
    const result = await offerTwice(asked, rate, rate * asked.settings.seconds);
    if (result.fault !== undefined) {
      fault = result.fault;
      continue;
    }
    losses.push(lossOf(result));
    reordered.push(...result.counts.map((one) => one.reordered));
    duplicated.push(...result.counts.map((one) => one.duplicated));
    const both = merged(result.counts.flatMap((one) => one.latency ?? []));
    if (both !== undefined) rounds.push(both);
  }
  const all = merged(rounds);
  return {
    ...{ load, rate, latency: all, fault },
    percentiles: all === undefined ? [] : percentiles.map((share) => percentile(all, share)),
    averages: rounds.map(({ average }) => average),
    loss: losses.length === 0 ? undefined : Math.max(...losses),
    reordered: total(reordered),
    duplicated: total(duplicated),
  };
}
