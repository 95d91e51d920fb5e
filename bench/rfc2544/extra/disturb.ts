// bench/rfc2544/extra/disturb.ts — something happens to vtepd while frames pass: what did they
// feel?
//
// The trial begins, then the disturbance; both must end in time. Frames that were lost in a row
// tell for how long a direction was blocked, to a frame; without any loss it was not.

import type { VtepdSystem } from '../topology/vtepd.ts';
import {
  blockedUs,
  type ExtraRow,
  type ExtraSetting,
  isBuiltinResult,
  lostOf,
  rowsOf,
  withSystem,
} from './extra.ts';

const settleMs = 500;

export interface Disturbance {
  readonly extra: string;
  readonly case: string;
  /** Before the trial. */
  readonly prepare?: (system: VtepdSystem) => Promise<void>;
  /** During the trial. */
  readonly act: (system: VtepdSystem) => Promise<void>;
}

/** One system, built for it: lost frames, how long frames were blocked, how long it took. */
export async function disturb(
  setting: ExtraSetting,
  system: VtepdSystem,
  { extra, case: name, prepare, act }: Disturbance,
): Promise<ExtraRow[]> {
  const { frames, rate, seconds, flows, scenario, signal } = setting.options;
  const about = { extra, system: system.name, scenario, case: name };
  const count = Math.round(rate * seconds);
  const load = { frames, rate, count, direction: 'both', flows } as const;
  setting.progress(`${system.name}: ${name}`, seconds);
  return await withSystem(setting, system, async (generator) => {
    await prepare?.(system);
    // All flows are known before.
    await generator.trial({ ...load, count: Math.max(flows, 1000) }, signal);
    let ended = false;
    const trial = generator.trial(load, signal).finally(() => {
      ended = true;
    });
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    const began = performance.now();
    const acted = await act(system).then(
      () => (ended ? `it took longer than the trial of ${seconds} s` : undefined),
      (error: Error) => error.message,
    );
    const actedMs = performance.now() - began;
    const result = await trial;
    const blocked = isBuiltinResult(result) ? blockedUs(result.counts, rate) : undefined;
    const values = { 'lost frames': lostOf(result), 'blocked us': blocked, 'took ms': actedMs };
    return rowsOf(about, values, result.fault ?? acted);
  });
}
