// bench/rfc2544/trial.ts — what a search asks of a generator, and what it is told: one trial.
//
// A trial offers frames at one rate for one time and counts what arrives (RFC 2544, section 23).
// The methods (throughput, loss, latency, back-to-back) are made of trials and know nothing of
// generators; generators know nothing of methods. A trial that the generator itself spoiled says
// so in `fault` and is never a result of the device.

/** Frames of one size among a mix. */
export interface FrameShare {
  /** Bytes of the whole Ethernet frame with FCS (4), before any encapsulation (RFC 2544, 9). */
  readonly size: number;
  /** How many of them there are, beside the weights of the other shares. */
  readonly weight: number;
}

/** What frames are sent: of one size, or of several in a fixed order that repeats. */
export interface FrameMix {
  /** "64", "imix": the column of the report. */
  readonly name: string;
  readonly shares: readonly FrameShare[];
}

export interface Load {
  readonly frames: FrameMix;
  /** Frames a second offered in each direction. */
  readonly rate: number;
  /** Frames sent in each direction: the trial takes about count / rate seconds. */
  readonly count: number;
  readonly direction: 'forward' | 'both';
  /** Distinct UDP 5-tuples in each direction. */
  readonly flows: number;
}

/** Times from sending to receiving, in microseconds. */
export interface Latency {
  /** Frames that were timed: all, or a sample of them. */
  readonly count: number;
  readonly min: number;
  readonly average: number;
  readonly max: number;
  /** Mean difference between successive frames' times (RFC 3550, 6.4.1, without its smoothing). */
  readonly jitter: number;
  /** Upper bound of each bucket that holds any, ascending, and how many it holds. */
  readonly buckets: readonly (readonly [upTo: number, count: number])[];
}

/** What became of the frames of one direction. */
export interface Count {
  readonly sent: number;
  /** Distinct frames of this trial that arrived; sent minus received is the loss. */
  readonly received: number;
  /** Arrived after a frame that was sent later (RFC 4737, 3.3); undefined: not counted. */
  readonly reordered: number | undefined;
  /** Arrived once more; undefined: not counted. */
  readonly duplicated: number | undefined;
  readonly latency: Latency | undefined;
}

export interface TrialResult {
  /** Forward, and backward if the load had both directions. */
  readonly counts: readonly Count[];
  /** How long sending took, in seconds: longer than asked is a fault. */
  readonly seconds: number;
  /** Why this trial tells nothing of the device, as a sentence; undefined if it does. */
  readonly fault: string | undefined;
}

/** How far a trial has come, by direction. */
export interface Sample {
  readonly sent: readonly number[];
  readonly received: readonly number[];
}

/** What a trial tells beyond its result. */
export interface Watch {
  /** Losses are also counted for each so many frames. */
  readonly block?: number;
  /** Called about once a second. */
  readonly onSample?: (sample: Sample) => void;
}

/** Sends and counts: TRex, the built-in one, a simulation. */
export interface Generator {
  readonly name: string;
  readonly version: string;
  /** Searches make no shorter trials than this many seconds; undefined: any are exact enough. */
  readonly leastSeconds?: number;
  /**
   * Rejects if the generator cannot be reached or asked, never for what became of frames. One that
   * cannot watch passes `watch` over.
   */
  trial(load: Load, signal?: AbortSignal, watch?: Watch): Promise<TrialResult>;
  close(): Promise<void>;
}

/** Lost of what was sent, both directions together, 0 to 1. */
export function lossOf({ counts }: TrialResult): number {
  const sent = counts.reduce((sum, count) => sum + count.sent, 0);
  const received = counts.reduce((sum, count) => sum + count.received, 0);
  return sent === 0 ? 0 : (sent - received) / sent;
}
