// cli/repeat.ts — does something every second until Ctrl-C or often enough.
//
// The next turn is counted from the start of the last, so that a slow answer does not add up.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Io } from './io.ts';

export const intervalMsDefault = 1000;

export interface RepeatOptions {
  readonly intervalMs?: number;
  /** Turns; absent: until Ctrl-C. */
  readonly times?: number;
}

/** Runs `turn` now and after every interval. Ctrl-C ends it quietly. */
export async function repeat(
  io: Io,
  { intervalMs = intervalMsDefault, times = Number.POSITIVE_INFINITY }: RepeatOptions,
  turn: () => Promise<void>,
): Promise<void> {
  const { signal } = io;
  for (let done = 1; !signal.aborted; done += 1) {
    const startedMs = performance.now();
    await turn();
    if (done >= times) return;
    const restMs = Math.max(0, intervalMs - (performance.now() - startedMs));
    await sleep(restMs, undefined, { signal }).catch(() => undefined);
  }
}

/** What clears the screen of a terminal; nothing elsewhere. */
export function wipe({ stdout }: Io): string {
  return stdout.isTTY === true ? '\u001b[H\u001b[2J' : '';
}
