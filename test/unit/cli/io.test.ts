// cli/io.test.ts — colour only where somebody looks, and no writing ahead of the reader.

import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { hasColour, type Io, paint, processIo, write } from '../../../src/cli/io.ts';

function ioWith(isTTY: boolean, env: Record<string, string> = {}): Io {
  const stdout = Object.assign(new PassThrough(), { isTTY });
  const { signal } = new AbortController();
  return { stdout, stderr: new PassThrough(), stdin: Readable.from([]), env, signal };
}

describe('colour', () => {
  it('is for terminals only, and not for those who refuse it', () => {
    expect(hasColour(ioWith(true))).toBe(true);
    expect(hasColour(ioWith(false))).toBe(false);
    expect(hasColour(ioWith(true, { NO_COLOR: '1' }))).toBe(false);
    expect(hasColour(ioWith(true, { NO_COLOR: '' }))).toBe(true);
    expect(hasColour(ioWith(true, { TERM: 'dumb' }))).toBe(false);
    expect(paint(ioWith(true), 'red', 'x')).toBe('\u001b[31mx\u001b[0m');
    expect(paint(ioWith(false), 'red', 'x')).toBe('x');
  });
});

describe('write', () => {
  it('waits for a reader that is slower', async () => {
    const sink = new PassThrough({ highWaterMark: 4 });
    let isWritten = false;
    const writing = write(sink, 'longer than that').then(() => {
      isWritten = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isWritten).toBe(false);
    expect(String(sink.read())).toBe('longer than that');
    await writing;
    expect(sink.listenerCount('close')).toBe(0);
  });

  it('gives up when the reader leaves', async () => {
    const sink = new PassThrough({ highWaterMark: 1 });
    const writing = write(sink, 'abc');
    sink.destroy();
    await writing;
  });
});

describe('the io of a process', () => {
  it('takes over Ctrl-C only when somebody asks for it', () => {
    const before = process.listenerCount('SIGINT');
    const io = processIo();
    expect(process.listenerCount('SIGINT')).toBe(before);
    expect(io.signal.aborted).toBe(false);
    expect(io.signal).toBe(io.signal);
    expect(process.listenerCount('SIGINT')).toBe(before + 1);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const added = process.listeners(signal).at(-1);
      if (added !== undefined) process.off(signal, added);
    }
  });
});
