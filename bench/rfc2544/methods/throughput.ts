// bench/rfc2544/methods/throughput.ts — throughput (RFC 2544, 26.1) for each allowed loss: NDR for
// none, PDR for some.
//
// Each round is a search of its own. From three rounds on the highest and the lowest are left out
// and the rest averaged, as the NVE paper does. A device cannot be measured above what its
// generator does: results within reach of that are lower limits.

import type { Outcome, Trial } from '../search/outcome.ts';
import { search, searchDefaults } from '../search.ts';
import { lossOf } from '../trial.ts';
import { type Asked, offer, trialSeconds } from './asked.ts';

/** What the generator does without a device, for one allowed loss. */
export type Limit =
  | { readonly rate: number; readonly isGenerator: boolean }
  /** Nothing can be said of a device with this generator. */
  | { readonly why: string };

/** A figure over all rounds, in frames a second in each direction. */
export interface Figure {
  readonly rate: number;
  /** What came through of it. */
  readonly forwarded: number;
  /** Why the device may be better; undefined: the figure is the device's. */
  readonly atLeast: string | undefined;
}

export interface GoalResult {
  /** 0 to 1. */
  readonly loss: number;
  readonly rounds: readonly Outcome[];
  readonly figure: Figure | undefined;
  /** Why there is no figure. */
  readonly why: string | undefined;
}

export interface ThroughputResult {
  readonly goals: readonly GoalResult[];
  /** Trials of each round. */
  readonly trials: readonly (readonly Trial[])[];
}

/** From this share of the generator's limit on, nobody can tell which of the two ended it. */
const withinReach = 0.9;
const whole = (value: number): string => Math.round(value).toLocaleString('en');

/** Leaves out the highest and the lowest, if there are three or more, and averages. */
export function trimmedMean(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const kept = sorted.length >= 3 ? sorted.slice(1, -1) : sorted;
  return kept.reduce((sum, value) => sum + value, 0) / kept.length;
}

/** An outcome in the light of what the generator can do. */
export function judged(outcome: Outcome, limit: Limit): Outcome {
  if ('why' in limit) return { kind: 'unclear', why: limit.why };
  if (outcome.kind === 'unclear' || !limit.isGenerator) return outcome;
  if (outcome.kind === 'found' && outcome.load < withinReach * limit.rate) return outcome;
  if (outcome.kind === 'at-least' && outcome.isGenerator) return outcome;
  const { load, forwarded } = outcome;
  const why =
    `The generator without a device does ${whole(limit.rate)} frames/s: ` +
    'within reach of that, the device may not be the limit.';
  return { kind: 'at-least', load, forwarded, why, isGenerator: true };
}

/** The figure of all rounds, or the reason why there is none. */
export function goalResult(loss: number, rounds: readonly Outcome[]): GoalResult {
  const unclear = rounds.filter((one) => one.kind === 'unclear');
  if (unclear.length > 0) {
    const share = rounds.length === 1 ? '' : `In ${unclear.length} of ${rounds.length} rounds: `;
    return { loss, rounds, figure: undefined, why: `${share}${unclear[0]!.why}` };
  }
  const known = rounds.filter((one) => one.kind !== 'unclear');
  const limited = known.find((one) => one.kind === 'at-least');
  const figure = {
    rate: trimmedMean(known.map(({ load }) => load)),
    forwarded: trimmedMean(known.map(({ forwarded }) => forwarded)),
    atLeast: limited?.why,
  };
  return { loss, rounds, figure, why: undefined };
}

/** Seconds that one search may take: some trials in each of its phases, more with more goals. */
export function searchSeconds({ settings }: Pick<Asked, 'settings'>): number {
  const { seconds, firstSeconds, losses, votes } = settings;
  const perPhase = 4 * (1 + 0.5 * (losses.length - 1));
  const middle = Math.sqrt(seconds * firstSeconds);
  const phases = [...Array(votes).fill(seconds), middle, firstSeconds] as number[];
  return perPhase * phases.reduce((sum, one) => sum + trialSeconds(settings, one), 0);
}

/**
 * Searches up to `highest` frames a second, `rounds` times; `limitOf` tells what the generator does
 * without a device for an allowed loss. `keep` gets what there is after each round.
 */
export async function throughput(
  asked: Asked,
  highest: number,
  rounds: number,
  limitOf: (loss: number) => Limit,
  keep: (result: ThroughputResult) => void,
): Promise<void> {
  const { settings } = asked;
  const least = asked.generator.leastSeconds ?? 0;
  const results: Outcome[][] = settings.losses.map(() => []);
  const trials: (readonly Trial[])[] = [];
  let start = Math.round(highest);
  for (let round = 1; round <= rounds; round += 1) {
    asked.step(`throughput, round ${round} of ${rounds}`, searchSeconds(asked));
    const found = await search(probeOf(asked), {
      ...searchDefaults,
      ...{ losses: settings.losses, lowest: settings.lowest, highest: Math.round(highest), start },
      ...{ resolution: settings.resolution, votes: settings.votes },
      seconds: Math.max(settings.seconds, least),
      firstSeconds: Math.max(settings.firstSeconds, least),
      noiseMax: Math.max(searchDefaults.noiseMax, 2 * settings.resolution),
    });
    trials.push(found.trials);
    for (const [at, { loss, outcome }] of found.outcomes.entries()) {
      results[at]!.push(judged(outcome, limitOf(loss)));
    }
    const goals = settings.losses.map((loss, at) => goalResult(loss, [...results[at]!]));
    keep({ goals, trials: [...trials] });
    // The next round begins where this one ended; it must confirm it with trials of its own.
    const first = found.outcomes.find(({ outcome }) => 'load' in outcome)?.outcome;
    if (first !== undefined && 'load' in first) start = first.load;
  }
}

function probeOf(asked: Asked) {
  return async (rate: number, seconds: number) => {
    const count = Math.max(1, Math.round(rate * seconds));
    const result = await offer(asked, rate, count);
    const sent = Math.max(0, ...result.counts.map((one) => one.sent));
    const reached = result.seconds > 0 ? sent / result.seconds : undefined;
    return { loss: lossOf(result), fault: result.fault, reached };
  };
}
