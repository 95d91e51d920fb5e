// lib/clock.ts — time as an argument: the system's clock, and one that tests move by hand.
//
// Whatever waits, ages or measures takes a Clock, so that no test sleeps. Durations come from the
// monotonic time, which never jumps; wall time is only for what people read.

import { performance } from 'node:perf_hooks';

/** A timer that is waiting; cancelling it twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Milliseconds since 1970 (UTC); may jump. */
  wallMs(): number;
  /** Calls once after `delayMs`. Does not keep the process alive. */
  after(delayMs: number, call: () => void): Timer;
  /** Calls every `periodMs`, first after one period. Does not keep the process alive. */
  every(periodMs: number, call: () => void): Timer;
}

/** The clock of the system. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  every(periodMs, call) {
    const timer = setInterval(call, periodMs).unref();
    return { cancel: () => clearInterval(timer) };
  },
};

interface ManualTimer {
  dueMs: number;
  readonly periodMs: number | undefined;
  readonly call: () => void;
}

/** A clock that stands still until `advance` moves it; timers fire inside `advance`, in order. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #wallOffsetMs: number;
  readonly #timers = new Set<ManualTimer>();

  /** @param wallMs what wallMs() says at the start; monotonicMs() starts at 0 */
  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = 0;
    this.#wallOffsetMs = wallMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallOffsetMs + this.#nowMs;
  }

  after(delayMs: number, call: () => void): Timer {
    return this.#add({ dueMs: this.#nowMs + Math.max(0, delayMs), periodMs: undefined, call });
  }

  every(periodMs: number, call: () => void): Timer {
    if (!(periodMs > 0)) throw new RangeError(`a period is longer than 0 ms, not ${periodMs}`);
    return this.#add({ dueMs: this.#nowMs + periodMs, periodMs, call });
  }

  /** Timers that wait. */
  get timerCount(): number {
    return this.#timers.size;
  }

  /** Moves time on; timers that fire may set or cancel others. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (let next = this.#nextDue(endMs); next !== undefined; next = this.#nextDue(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      if (next.periodMs === undefined) this.#timers.delete(next);
      else next.dueMs += next.periodMs;
      next.call();
    }
    this.#nowMs = endMs;
  }

  #add(timer: ManualTimer): Timer {
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** The earliest timer due by `endMs`; of equal ones the first that was set. */
  #nextDue(endMs: number): ManualTimer | undefined {
    let next: ManualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}
