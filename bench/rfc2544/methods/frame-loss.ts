// bench/rfc2544/methods/frame-loss.ts — the frame loss rate (RFC 2544, 26.3): what is lost at
// loads from the highest downwards, until two in a row lose nothing.
//
// The standard begins at the rate of the line. A software generator does not reach that, and far
// above its throughput all devices are alike: here 100 % is the lesser of the generator's limit and
// one and a half times the throughput, and the report says which rate that is.

import { lossOf } from '../trial.ts';
import { type Asked, offerTwice, trialSeconds } from './asked.ts';

export interface LossPoint {
  /** Frames a second offered in each direction. */
  readonly rate: number;
  /** 0 to 1; undefined with a fault. */
  readonly loss: number | undefined;
  readonly fault: string | undefined;
}

export interface FrameLossResult {
  /** What 100 % is, in frames a second in each direction. */
  readonly full: number;
  /** From the highest load down. */
  readonly points: readonly LossPoint[];
}

const above = 1.5;
/** The standard allows steps of 10 % and encourages finer ones. */
const step = 0.1;

export const frameLossSeconds = ({ settings }: Pick<Asked, 'settings'>): number =>
  (0.6 / step) * trialSeconds(settings, settings.seconds);

/** `throughput` is what the device does, if that is known. */
export async function frameLoss(
  asked: Asked,
  highest: number,
  throughput: number | undefined,
): Promise<FrameLossResult> {
  const full = Math.min(highest, (throughput ?? highest) * above);
  const points: LossPoint[] = [];
  asked.step('frame loss', frameLossSeconds(asked));
  for (let share = 1; share > step / 2; share -= step) {
    const rate = Math.round(full * share);
    if (rate < asked.settings.lowest) break;
    const result = await offerTwice(asked, rate, rate * asked.settings.seconds);
    const { fault } = result;
    points.push({ rate, loss: fault === undefined ? lossOf(result) : undefined, fault });
    const [before, last] = points.slice(-2);
    if (points.length >= 2 && before!.loss === 0 && last!.loss === 0) break;
  }
  return { full, points };
}
