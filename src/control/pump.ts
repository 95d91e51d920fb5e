// control/pump.ts — moves a stream to its reader without ever waiting for it.
//
// Items are taken as they come. What the reader has not yet taken is kept up to a limit; beyond it
// items are shed and counted, and the reader is told. So a reader that stops reading costs a
// bounded amount of memory, and the switch never queues for it.

import type { Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Stream } from './route.ts';

/** Bytes that wait for one reader. */
export const pendingBytesMax = 4 * 1024 * 1024;

/** Items in a row before other work of the process gets its turn. */
const itemsPerTurn = 64;

const notYet = Symbol('not yet');

/**
 * Starts a stream and gives it to `open`'s sink until it ends or the reader leaves.
 * @param open called once the stream has begun; a stream that fails at once throws before that
 * @returns how many items were shed
 */
export async function pump<Item>(stream: Stream<Item>, open: () => Writable): Promise<number> {
  const iterator = stream.items[Symbol.asyncIterator]();
  let next = iterator.next();
  // A stream that cannot be, such as a capture at an unknown port, says so at its first step.
  await Promise.race([next, nextTurn(notYet)]);
  const sink = open();
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<undefined>((resolve) => {
    sink.once('close', () => resolve(undefined));
    sink.on('error', () => undefined);
    const { endsAfterMs } = stream;
    if (endsAfterMs !== undefined) timer = setTimeout(resolve, endsAfterMs, undefined);
  });
  const outlet = new Outlet(stream, sink);
  next.catch(() => undefined);
  try {
    for (let items = 1; ; items += 1) {
      const result = await Promise.race([next, over]);
      if (result === undefined || result.done === true || sink.destroyed) break;
      outlet.give(result.value);
      if (items % itemsPerTurn === 0) await nextTurn();
      next = iterator.next();
      next.catch(() => undefined);
    }
  } finally {
    clearTimeout(timer);
    // Not awaited: a generator returns only when its next item comes.
    iterator.return?.().catch(() => undefined);
  }
  outlet.end();
  return outlet.lost;
}

class Outlet<Item> {
  /** Items shed since the beginning. */
  lost = 0;
  readonly #stream: Stream<Item>;
  readonly #sink: Writable;
  #told = 0;

  constructor(stream: Stream<Item>, sink: Writable) {
    this.#stream = stream;
    this.#sink = sink;
  }

  give(item: Item): void {
    if (this.#sink.writableLength > pendingBytesMax) {
      const { kept, lost } = this.#stream.shed(item);
      this.lost += lost;
      if (kept.length > 0) this.#sink.write(kept);
      return;
    }
    if (this.#stream.tellsEarly) this.#tell();
    this.#sink.write(this.#stream.encode(item));
  }

  end(): void {
    if (this.#sink.destroyed) return;
    this.#tell();
    this.#sink.end();
  }

  #tell(): void {
    const untold = this.lost - this.#told;
    if (untold > 0) this.#sink.write(this.#stream.lostNotice(untold));
    this.#told = this.lost;
  }
}
