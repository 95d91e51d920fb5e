// control/pump.test.ts — a reader that is slow, leaves, or never reads.

import { PassThrough, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { pendingBytesMax, pump } from '../../../src/control/pump.ts';
import type { Stream } from '../../../src/control/route.ts';
import { Feed } from './fake-switch.ts';

function streamOf(items: AsyncIterable<Buffer>, tellsEarly = true): Stream<Buffer> {
  return {
    items,
    encode: (item) => item,
    shed: () => ({ kept: Buffer.alloc(0), lost: 1 }),
    lostNotice: (lost) => Buffer.from(`lost ${lost};`),
    tellsEarly,
  };
}

const large = Buffer.alloc(1024 * 1024, 'x');

describe('pump', () => {
  it('passes everything on to a reader that keeps up', async () => {
    const feed = new Feed<Buffer>();
    const sink = new PassThrough();
    const pumped = pump(streamOf(feed), () => sink);
    feed.push(Buffer.from('one,'), Buffer.from('two'));
    feed.end();
    expect(await pumped).toBe(0);
    expect(String(sink.read())).toBe('one,two');
  });

  it('keeps a bounded amount for a reader that does not read, and counts the rest', async () => {
    const feed = new Feed<Buffer>();
    let release: () => void = () => undefined;
    let written = 0;
    const sink = new Writable({
      write(chunk, _encoding, done) {
        written += chunk.length;
        release = done;
      },
    });
    const pumped = pump(streamOf(feed), () => sink);
    for (let count = 0; count < 20; count += 1) feed.push(large);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sink.writableLength).toBeLessThanOrEqual(pendingBytesMax + large.length);
    expect(written).toBe(large.length);
    sink.destroy();
    release();
    expect(await pumped).toBe(15);
    expect(feed.isLeft).toBe(true);
  });

  it('tells the reader what is missing as soon as there is room', async () => {
    const feed = new Feed<Buffer>();
    const sink = new PassThrough({ highWaterMark: 1 });
    const pumped = pump(streamOf(feed), () => sink);
    for (let count = 0; count < 10; count += 1) feed.push(large);
    await new Promise((resolve) => setTimeout(resolve, 20));
    let text = '';
    sink.on('data', (chunk) => {
      text += chunk;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    feed.push(Buffer.from('more'));
    feed.end();
    const lost = await pumped;
    await new Promise((resolve) => sink.once('end', resolve));
    expect(lost).toBeGreaterThan(0);
    expect(text.endsWith(`lost ${lost};more`)).toBe(true);
  });

  it('leaves the stream when the reader leaves, without waiting for an item', async () => {
    const feed = new Feed<Buffer>();
    const sink = new PassThrough();
    const pumped = pump(streamOf(feed), () => sink);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    sink.destroy();
    await pumped;
    expect(feed.isLeft).toBe(true);
  });

  it('ends after its time even when no item comes', async () => {
    const feed = new Feed<Buffer>();
    const sink = new PassThrough().resume();
    await pump({ ...streamOf(feed), endsAfterMs: 10 }, () => sink);
    expect(sink.writableEnded).toBe(true);
    expect(feed.isLeft).toBe(true);
  });

  it('throws before it opens when the stream fails at once', async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      yield* [];
      throw new Error('no such port');
    }
    let isOpen = false;
    const open = () => {
      isOpen = true;
      return new PassThrough();
    };
    await expect(pump(streamOf(failing()), open)).rejects.toThrow('no such port');
    expect(isOpen).toBe(false);
  });

  it('lets other work go on while a stream never pauses', async () => {
    let isStopped = false;
    async function* endless(): AsyncGenerator<Buffer> {
      while (!isStopped) yield Buffer.from('x');
    }
    const sink = new PassThrough().resume();
    const pumped = pump(streamOf(endless()), () => sink);
    await new Promise((resolve) => setTimeout(resolve, 10));
    isStopped = true;
    expect(await pumped).toBe(0);
  });
});
