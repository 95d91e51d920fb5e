// lib/clock.test.ts — the clock that tests move by hand, and the system's.

import { describe, expect, test } from 'vitest';
import { ManualClock, systemClock } from '../../../src/lib/clock.ts';

describe('a manual clock', () => {
  test('stands still until it is advanced', () => {
    const clock = new ManualClock(1000);
    expect([clock.monotonicMs(), clock.wallMs()]).toEqual([0, 1000]);
    clock.advance(5);
    expect([clock.monotonicMs(), clock.wallMs()]).toEqual([5, 1005]);
  });

  test('fires timers in the order in which they are due, at their time', () => {
    const clock = new ManualClock();
    const fired: string[] = [];
    const note = (name: string) => () => fired.push(`${name}@${clock.monotonicMs()}`);
    clock.after(30, note('late'));
    clock.after(10, note('first'));
    clock.after(10, note('second'));
    clock.every(20, note('tick'));
    clock.advance(45);
    expect(fired).toEqual(['first@10', 'second@10', 'tick@20', 'late@30', 'tick@40']);
    expect(clock.timerCount).toBe(1);
  });

  test('lets a timer set and cancel others while it fires', () => {
    const clock = new ManualClock();
    const fired: string[] = [];
    const cancelled = clock.after(6, () => fired.push('cancelled'));
    clock.after(5, () => {
      cancelled.cancel();
      cancelled.cancel();
      clock.after(3, () => fired.push('inner'));
    });
    clock.advance(8);
    expect(fired).toEqual(['inner']);
    expect(clock.timerCount).toBe(0);
  });

  test('refuses a period that would never end', () => {
    expect(() => new ManualClock().every(0, () => undefined)).toThrow(RangeError);
  });
});

describe('the system clock', () => {
  test('fires once, or again and again, and never after it was cancelled', async () => {
    let ticks = 0;
    let cancelledFired = false;
    systemClock
      .after(1, () => {
        cancelledFired = true;
      })
      .cancel();
    const startMs = systemClock.monotonicMs();
    // The timers do not keep the process alive; the runner does.
    await new Promise<void>((resolve) => {
      const timer = systemClock.every(2, () => {
        ticks += 1;
        if (ticks < 3) return;
        timer.cancel();
        systemClock.after(2, resolve);
      });
    });
    expect(ticks).toBe(3);
    expect(cancelledFired).toBe(false);
    expect(systemClock.monotonicMs()).toBeGreaterThan(startMs);
    expect(Math.abs(systemClock.wallMs() - Date.now())).toBeLessThan(1000);
  });
});
