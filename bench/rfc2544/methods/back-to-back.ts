// bench/rfc2544/methods/back-to-back.ts — the longest burst that loses nothing (RFC 2544, 26.4, as
// RFC 9004 has it), and the buffer that it tells of.
//
// Bursts come as fast as the generator makes them; the standard means the least gap of the line,
// which software does not reach, so the report says the rate. The device empties its buffer while
// the burst fills it: RFC 9004, 6.4 corrects for that with the throughput.

import type { Outcome } from '../search/outcome.ts';
import { search, searchDefaults } from '../search.ts';
import { lossOf } from '../trial.ts';
import { type Asked, offer, trialSeconds } from './asked.ts';

export interface BackToBackResult {
  /** Frames a second of a burst, in each direction. */
  readonly rate: number;
  /** Loads are frames of a burst. */
  readonly bursts: readonly Outcome[];
  /** Average, least, most and standard deviation of the bursts, in frames. */
  readonly frames: Spread | undefined;
  /** Whether some of the bursts ended by what was tried and not by loss. */
  readonly isAtLeast: boolean;
  /** Seconds of buffer: how long the average burst lasts, corrected for what was served. */
  readonly bufferSeconds: number | undefined;
  /** Why there is no figure. */
  readonly why: string | undefined;
}

export interface Spread {
  readonly average: number;
  readonly min: number;
  readonly max: number;
  readonly deviation: number;
}

/** RFC 2544 wants bursts of two seconds where the device takes them. */
const burstSecondsMax = 2;
const burstMin = 2;
/** A bracket narrower than this is within the spread of the bursts. */
const resolution = 0.01;
const trialsPerBurst = 16;

export const backToBackSeconds = ({ settings }: Pick<Asked, 'settings'>): number =>
  settings.bursts * trialsPerBurst * trialSeconds(settings, 0.1);

/** `rate` is the generator's limit; `throughput` the device's without loss, if it is known. */
export async function backToBack(
  asked: Asked,
  rate: number,
  throughput: number | undefined,
): Promise<BackToBackResult> {
  const bursts: Outcome[] = [];
  const highest = Math.max(burstMin, Math.round(rate * burstSecondsMax));
  for (let burst = 1; burst <= asked.settings.bursts; burst += 1) {
    const seconds = backToBackSeconds(asked) / asked.settings.bursts;
    asked.step(`burst ${burst} of ${asked.settings.bursts}`, seconds);
    const last = bursts.at(-1);
    const { outcomes } = await search(
      async (frames) => {
        const result = await offer(asked, rate, frames);
        return { loss: lossOf(result), fault: result.fault };
      },
      {
        ...searchDefaults,
        ...{ losses: [0], lowest: burstMin, highest, unit: 'frames in a burst' },
        ...{ start: last !== undefined && 'load' in last ? last.load : highest },
        ...{ resolution: Math.max(resolution, asked.settings.resolution), votes: 1 },
        ...{ seconds: 1, firstSeconds: 1, noiseMax: 1 },
      },
    );
    bursts.push(outcomes[0]!.outcome);
  }
  return backToBackResult(rate, bursts, throughput);
}

/** The figures of all bursts. */
export function backToBackResult(
  rate: number,
  bursts: readonly Outcome[],
  throughput: number | undefined,
): BackToBackResult {
  const unclear = bursts.find((one) => one.kind === 'unclear');
  if (unclear !== undefined || bursts.length === 0) {
    const why = unclear?.why ?? 'No burst was sent.';
    return { rate, bursts, ...none, why };
  }
  const frames = spreadOf(bursts.flatMap((one) => ('load' in one ? [one.load] : [])));
  const isAtLeast = bursts.some((one) => one.kind === 'at-least');
  const implied = frames.average / rate;
  const served = throughput === undefined ? undefined : implied * Math.min(1, throughput / rate);
  const bufferSeconds = served === undefined || isAtLeast ? undefined : implied - served;
  return { rate, bursts, frames, isAtLeast, bufferSeconds, why: undefined };
}

const none = { frames: undefined, isAtLeast: false, bufferSeconds: undefined };

function spreadOf(values: readonly number[]): Spread {
  const average = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - average) ** 2, 0);
  return {
    ...{ average, min: Math.min(...values), max: Math.max(...values) },
    deviation: Math.sqrt(squares / values.length),
  };
}
