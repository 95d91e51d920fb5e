// switch/event-hub.ts — events to any number of readers, each with a bounded queue of its own.
//
// A reader that is too slow loses the oldest of its queue, and is told how many; nobody else
// notices, least of all the switch. The iterators are written by hand, since a generator that waits
// cannot be ended from outside: return() must wake the reader and end the watching at once.

export interface HubOptions<Item> {
  /** Items that wait for one reader at most. */
  readonly queueMax: number;
  /** What a reader gets in place of items that were lost; without it, nothing. */
  readonly lost?: (count: number) => Item;
}

export class EventHub<Item> {
  readonly #options: HubOptions<Item>;
  readonly #readers = new Set<Reader<Item>>();

  constructor(options: HubOptions<Item>) {
    this.#options = options;
  }

  get readers(): number {
    return this.#readers.size;
  }

  publish(item: Item): void {
    for (const reader of this.#readers) reader.push(item);
  }

  /** Items from now on, until the reader returns or the hub closes. */
  subscribe(): AsyncIterableIterator<Item, undefined> {
    const reader = new Reader<Item>(this.#options, () => this.#readers.delete(reader));
    this.#readers.add(reader);
    return reader;
  }

  /** Ends every reader, after what waits for it. */
  close(): void {
    for (const reader of this.#readers) reader.end();
  }
}

type Result<Item> = IteratorResult<Item, undefined>;

class Reader<Item> implements AsyncIterableIterator<Item, undefined> {
  readonly #options: HubOptions<Item>;
  readonly #onEnd: () => void;
  readonly #queue: Item[] = [];
  readonly #waiting: ((result: Result<Item>) => void)[] = [];
  #lost = 0;
  #ended = false;

  constructor(options: HubOptions<Item>, onEnd: () => void) {
    this.#options = options;
    this.#onEnd = onEnd;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(item: Item): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next({ value: item, done: false });
      return;
    }
    this.#queue.push(item);
    if (this.#queue.length <= this.#options.queueMax) return;
    this.#queue.shift();
    this.#lost += 1;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    for (const next of this.#waiting.splice(0)) next({ value: undefined, done: true });
  }

  next(): Promise<Result<Item>> {
    const value = this.#take();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  return(): Promise<Result<Item>> {
    this.#queue.length = 0;
    this.#lost = 0;
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  #take(): Item | undefined {
    const { lost } = this.#options;
    if (this.#lost === 0 || lost === undefined) return this.#queue.shift();
    const count = this.#lost;
    this.#lost = 0;
    return lost(count);
  }
}
