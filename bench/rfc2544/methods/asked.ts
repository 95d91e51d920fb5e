// bench/rfc2544/methods/asked.ts — what every method is given, and how it makes a trial.
//
// Methods ask a generator and say what they found; where the frames go and what the report looks
// like they do not know.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Direction, Settings } from '../settings.ts';
import type { FrameMix, Generator, TrialResult } from '../trial.ts';

export interface Asked {
  readonly generator: Generator;
  readonly frames: FrameMix;
  readonly direction: Direction;
  readonly settings: Settings;
  /** Aborted: the method rejects as soon as the trial that runs does. */
  readonly signal: AbortSignal;
  /** Tells people what is done now, and how many seconds it may take. */
  readonly step: (what: string, seconds: number) => void;
}

/** One trial: `count` frames at `rate` in each direction, after the pause. */
export async function offer(asked: Asked, rate: number, count: number): Promise<TrialResult> {
  const { generator, frames, direction, settings, signal } = asked;
  if (settings.pauseSeconds > 0) {
    await sleep(settings.pauseSeconds * 1000, undefined, { signal });
  }
  signal.throwIfAborted();
  const whole = Math.max(1, Math.round(count));
  const load = { frames, rate, count: whole, direction, flows: settings.flows };
  return generator.trial(load, signal);
}

/** As `offer`, once more if the generator spoiled it: an accident is no reason for a gap. */
export async function offerTwice(asked: Asked, rate: number, count: number): Promise<TrialResult> {
  const first = await offer(asked, rate, count);
  return first.fault === undefined ? first : offer(asked, rate, count);
}

/** Frames that nobody counts, so that flows, addresses and caches are known (RFC 2544, 23). */
export async function warmUp(asked: Asked, highest: number): Promise<void> {
  const { settings } = asked;
  if (settings.warmUpSeconds === 0) return;
  asked.step('warming up', settings.warmUpSeconds);
  // Every flow twice, but gently.
  const wanted = (2 * settings.flows) / settings.warmUpSeconds;
  const rate = Math.round(Math.min(highest, Math.max(settings.lowest, wanted)));
  await offer(asked, rate, rate * settings.warmUpSeconds);
}

/** Waiting for stragglers, and the pause: what a trial takes beside its time. */
const aroundSeconds = 1;

/** Seconds that a trial takes in all, for the time left. */
export const trialSeconds = ({ pauseSeconds }: Settings, seconds: number): number =>
  seconds + pauseSeconds + aroundSeconds;

/** How many directions there are: rates of reports are sums over them. */
export const directionsOf = (direction: Direction): number => (direction === 'both' ? 2 : 1);
