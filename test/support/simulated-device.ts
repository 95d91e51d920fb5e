// support/simulated-device.ts — a device of known capacity and whims, and a generator in front of
// it.
//
// The device is a queue served at a fixed rate, computed as a fluid, so that a trial of minutes
// takes microseconds and what it loses is known exactly. `passes` is the oracle: the same device
// without noise. Nothing here is random but the noise, which follows from the seed.

import type { Count, Generator, Load, TrialResult } from '../../bench/rfc2544/trial.ts';

export interface DeviceTraits {
  /** Frames a second in each direction. */
  readonly capacity: number;
  /** Frames that wait while the device is busy. */
  readonly buffer?: number;
  /** Serves nothing for `lasting` seconds, once every `every` seconds. */
  readonly stall?: { readonly every: number; readonly lasting: number };
  /** As a stall, but what arrives is lost and not buffered: a link that goes down. */
  readonly flap?: { readonly every: number; readonly lasting: number };
  /** Capacity of a trial is up to this share above or below. */
  readonly noise?: number;
  /** Share that is lost at any rate. */
  readonly leak?: number;
  /** Above its capacity the device does less: capacity × (capacity / rate) ^ collapse. */
  readonly collapse?: number;
  /** Between these rates a tenth is lost. */
  readonly gap?: { readonly from: number; readonly to: number };
  readonly seed?: number;
}

export interface GeneratorTraits {
  /** Above this rate sending takes longer, which is a fault. */
  readonly limit?: number;
  /** A fault of every trial. */
  readonly broken?: string;
  /** Each so manyth trial has a fault by accident. */
  readonly accident?: number;
}

/** Share that is lost in a gap. */
const gapLoss = 0.1;
const baseLatencyUs = 20;
const waits = 12;

/** Numbers from 0 to 1 that only depend on the seed (a 32-bit mix by multiplication). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

interface Fate {
  readonly lost: number;
  /** Greatest number of frames that waited. */
  readonly waiting: number;
}

/** When something that happens in the middle of each period is on, within a trial. */
function* times(
  { every, lasting }: { readonly every: number; readonly lasting: number },
  seconds: number,
) {
  for (let from = every / 2; from < seconds; from += every) {
    yield { from, to: Math.min(seconds, from + lasting) };
  }
}

/** What becomes of `count` frames at `rate`, by a device whose capacity is `capacity`. */
function fate(traits: DeviceTraits, capacity: number, rate: number, count: number): Fate {
  const { buffer = 0, stall, flap, leak = 0, collapse = 0, gap } = traits;
  const seconds = count / rate;
  const served = rate > capacity ? capacity * (capacity / rate) ** collapse : capacity;
  let waiting = 0;
  let most = 0;
  let over = 0;
  const pass = (lasting: number, service: number) => {
    const filled = Math.max(0, waiting + (rate - service) * lasting);
    over += Math.max(0, filled - buffer);
    waiting = Math.min(buffer, filled);
    most = Math.max(most, waiting);
  };
  let now = 0;
  for (const { from, to } of stall === undefined ? [] : times(stall, seconds)) {
    pass(from - now, served);
    pass(to - from, 0);
    now = to;
  }
  pass(seconds - now, served);
  let down = 0;
  for (const { from, to } of flap === undefined ? [] : times(flap, seconds)) down += to - from;
  const inGap = gap !== undefined && rate >= gap.from && rate <= gap.to;
  const share = (inGap ? gapLoss : 0) + leak + down / seconds;
  const lost = over + count * share;
  // Less than half a frame is none; otherwise a fluid has fractions, and rounds nothing.
  return { lost: lost < 0.5 ? 0 : Math.min(count, lost), waiting: most };
}

/** The oracle: whether the device without noise holds this loss at this rate for this long. */
export function passes(
  traits: DeviceTraits,
  rate: number,
  seconds: number,
  allowed: number,
): boolean {
  const count = Math.round(rate * seconds);
  return fate(traits, traits.capacity, rate, count).lost / count <= allowed;
}

/** A generator with the device behind it. */
export class SimulatedDevice implements Generator {
  readonly name = 'simulation';
  readonly version = '1';
  /** Trials so far. */
  trials = 0;
  closed = false;
  /** Seconds that real trials would have taken. */
  seconds = 0;
  readonly #device: DeviceTraits;
  readonly #generator: GeneratorTraits;
  readonly #random: () => number;

  constructor(device: DeviceTraits, generator: GeneratorTraits = {}) {
    this.#device = device;
    this.#generator = generator;
    this.#random = randomNumbers(device.seed ?? 1);
  }

  async trial(load: Load, signal?: AbortSignal): Promise<TrialResult> {
    signal?.throwIfAborted();
    this.trials += 1;
    const { limit = Number.POSITIVE_INFINITY } = this.#generator;
    const rate = Math.min(load.rate, limit);
    const seconds = load.count / rate;
    this.seconds += seconds;
    const { capacity, noise = 0 } = this.#device;
    const now = capacity * (1 + noise * (2 * this.#random() - 1));
    const one = this.#count(load.count, fate(this.#device, now, rate, load.count), rate, now);
    const counts = load.direction === 'both' ? [one, one] : [one];
    return { counts, seconds, fault: this.#fault(load, seconds) };
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  #fault({ rate, count }: Load, seconds: number): string | undefined {
    const { broken, accident } = this.#generator;
    if (broken !== undefined) return broken;
    if (seconds > (count / rate) * 1.001) return `Sending took ${seconds.toFixed(1)} s.`;
    const isAccident = accident !== undefined && this.trials % accident === 0;
    return isAccident ? 'A receive ring overflowed.' : undefined;
  }

  #count(sent: number, { lost, waiting }: Fate, rate: number, capacity: number): Count {
    const received = sent - lost;
    // Waits as of a queue that is served one by one, each twice as rare as the one before.
    const busy = Math.min(0.999, rate / capacity);
    const wait = (1e6 / capacity) * (busy / (2 - 2 * busy)) + (waiting / capacity) * 1e5;
    const shares = [...Array(waits).keys()].map((step) => 0.5 ** (step + 1));
    const rest = 1 - shares.reduce((sum, share) => sum + share, 0);
    const buckets = shares.map(
      (share, step) =>
        [baseLatencyUs + wait * step, received * (share + (step === 0 ? rest : 0))] as const,
    );
    const average = baseLatencyUs + wait;
    const max = baseLatencyUs + wait * waits;
    return {
      ...{ sent, received, reordered: 0, duplicated: 0 },
      latency: { count: received, min: baseLatencyUs, average, max, jitter: wait, buckets },
    };
  }
}
