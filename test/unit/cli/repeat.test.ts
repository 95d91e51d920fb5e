// cli/repeat.test.ts — so often, so long, or until Ctrl-C.

import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Io } from '../../../src/cli/io.ts';
import { repeat, wipe } from '../../../src/cli/repeat.ts';

function io(signal: AbortSignal, isTTY = false): Io {
  const stdout = Object.assign(new PassThrough(), { isTTY });
  return { stdout, stderr: new PassThrough(), stdin: Readable.from([]), env: {}, signal };
}

describe('repeat', () => {
  it('ends after so many turns', async () => {
    let turns = 0;
    await repeat(io(new AbortController().signal), { times: 3, intervalMs: 1 }, async () => {
      turns += 1;
    });
    expect(turns).toBe(3);
  });

  it('ends at once by Ctrl-C, quietly', async () => {
    const stop = new AbortController();
    let turns = 0;
    await repeat(io(stop.signal), { intervalMs: 60_000 }, async () => {
      turns += 1;
      setTimeout(() => stop.abort(), 5);
    });
    expect(turns).toBe(1);
  });

  it('passes on what a turn throws', async () => {
    const failing = repeat(io(new AbortController().signal), {}, async () => {
      throw new Error('gone');
    });
    await expect(failing).rejects.toThrow('gone');
  });

  it('wipes terminals only', () => {
    const { signal } = new AbortController();
    expect(wipe(io(signal))).toBe('');
    expect(wipe(io(signal, true))).toContain('\u001b[2J');
  });
});
