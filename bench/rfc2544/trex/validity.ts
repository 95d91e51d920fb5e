// bench/rfc2544/trex/validity.ts — what TRex counted as the result of a trial, or why it is none.
//
// Above its capacity TRex sends the same frames more slowly and loses nothing, and its own rings
// can overflow: both look like a device, and neither is one. So a trial counts only if everything
// was sent, in the time that was asked for, and nothing was lost in TRex itself.

import type { Count, Latency, Load, TrialResult } from '../trial.ts';

/** What driver.py answers to a trial. */
export interface TrexTrial {
  /** Seconds from the start to the end of sending. */
  readonly elapsed: number;
  /** UP or DOWN, of each port. */
  readonly links: readonly string[];
  readonly ports: readonly {
    readonly opackets: number;
    readonly ipackets: number;
    readonly oerrors: number;
    readonly ierrors: number;
  }[];
  readonly queueFull: number;
  readonly cpu: number;
  readonly directions: readonly {
    readonly sent: number;
    readonly received: number;
    readonly timed: Timed | null;
  }[];
}

/** Frames with a time in their payload: some of each direction. */
interface Timed {
  readonly sent: number;
  readonly received: number;
  /** Microseconds. */
  readonly min: number;
  readonly max: number;
  readonly jitter: number;
  /** Least time of each bucket, in microseconds, and how many it holds. */
  readonly histogram: readonly (readonly [number, number])[];
  readonly outOfOrder: number;
  readonly duplicated: number;
}

/**
 * How exactly the end of sending is seen: an event of the server, 10 ms late on an idle machine of
 * two cores.
 */
const slackSeconds = 0.15;
const slackShare = 0.005;
/** Of what was to be sent. */
const sentLeast = 0.999;
/** Times below this are in one bucket, whose key is 0. */
const firstBucketUs = 10;

/** The trial as all generators tell it. */
export function trialResult(load: Load, trial: TrexTrial): TrialResult {
  const asked = load.count / load.rate;
  const isLate = trial.elapsed > asked * (1 + slackShare) + slackSeconds;
  return {
    counts: trial.directions.map(countOf),
    seconds: isLate ? trial.elapsed : asked,
    fault: fault(load, trial, isLate),
  };
}

function fault(load: Load, trial: TrexTrial, isLate: boolean): string | undefined {
  const down = trial.links.findIndex((link) => link !== 'UP');
  if (down !== -1) return `Port ${down} of TRex is down: its link is ${trial.links[down]}.`;
  const sum = (name: 'oerrors' | 'ierrors') =>
    trial.ports.reduce((all, port) => all + port[name], 0);
  const asked = load.count / load.rate;
  if (isLate) {
    return (
      `TRex took ${trial.elapsed.toFixed(1)} s to send what was to take ${asked.toFixed(1)} s: ` +
      `it does not reach ${whole(load.rate)} frames/s.`
    );
  }
  for (const count of trial.directions.map(countOf)) {
    if (count.sent < load.count * sentLeast) {
      return `TRex sent ${whole(count.sent)} of ${whole(load.count)} frames.`;
    }
    if (count.received > count.sent) {
      return (
        `TRex received ${whole(count.received)} frames of ${whole(count.sent)} that it sent: ` +
        'there is a loop or a second sender.'
      );
    }
  }
  if (sum('ierrors') > 0) {
    return `TRex lost ${whole(sum('ierrors'))} frames in its own receive rings (ierrors).`;
  }
  if (sum('oerrors') > 0) return `TRex could not send ${whole(sum('oerrors'))} frames (oerrors).`;
  if (trial.queueFull > 0) {
    return `TRex found its transmit queue full ${whole(trial.queueFull)} times (queue_full).`;
  }
  return undefined;
}

const whole = (value: number): string => Math.round(value).toLocaleString('en');

function countOf({ sent, received, timed }: TrexTrial['directions'][number]): Count {
  return {
    sent: sent + (timed?.sent ?? 0),
    received: received + (timed?.received ?? 0),
    // Only frames that are timed have numbers: of the others nobody knows.
    reordered: undefined,
    duplicated: undefined,
    latency: timed === null ? undefined : latencyOf(timed),
  };
}

/**
 * TRex's own average is a low-pass filter and no mean: this one is of the buckets' middles. Their
 * width is a digit: 10 to 20, 100 to 200 microseconds. Its greatest time is one that was seen when
 * somebody asked: if that is below the last bucket, the bucket's bound is all that is known.
 */
function latencyOf({ received, min, jitter, histogram, ...timed }: Timed): Latency | undefined {
  if (received === 0 || histogram.length === 0) return undefined;
  const last = Math.max(...histogram.map(([from]) => from));
  const max = timed.max > last ? timed.max : upTo(last);
  const buckets = histogram.map(([from, held]) => [upTo(from), held] as const);
  const held = histogram.reduce((sum, [, count]) => sum + count, 0);
  const middles = histogram.reduce((sum, [from, count]) => {
    const middle = (Math.max(from, min) + Math.min(upTo(from), max)) / 2;
    return sum + middle * count;
  }, 0);
  return { count: held, min, average: middles / held, max, jitter, buckets };
}

function upTo(from: number): number {
  return from < firstBucketUs ? firstBucketUs : from + 10 ** Math.floor(Math.log10(from));
}
