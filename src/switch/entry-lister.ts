// switch/entry-lister.ts — the exact entries of the data path: which connections live, from where.
//
// Entries belong to their workers, so these are asked, a slice of places at a time, and answer by
// events between two bursts. A slice whose answer found no room in the event ring is asked again.
// One list at a time; the others wait for it.

import type { DatapathEvent, EntryReport } from '../datapath/events.ts';
import { regionMemory } from '../datapath/memory.ts';
import type { NativeDatapath } from '../datapath/native.ts';
import { CommandWriter, type ConnectionMark, type ConnectionTimeouts } from '../datapath/rings.ts';
import { newKey } from '../flow/key.ts';
import type { Match } from '../flow/key-text.ts';
import { SwitchError } from '../lib/errors.ts';

/** Places of an exact cache that one command looks at. */
const placesPerSlice = 4096;
const againMs = 100;
const triesMax = 50;
const everything: Match = { key: newKey(), mask: newKey() };

interface Slice {
  readonly token: number;
  readonly found: EntryReport[];
  readonly listed: (next: number) => void;
}

export class EntryLister {
  readonly #writers: readonly CommandWriter[];
  #slice: Slice | undefined;
  #token = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(native: NativeDatapath) {
    const { workers } = regionMemory(native.memory);
    this.#writers = workers.map((memory, worker) => new CommandWriter(native, worker, memory));
    // An earlier vtepd may have asked, and its answers may still come.
    this.#token = (Date.now() & 0xffff) << 12;
  }

  /** What came out of the event rings. */
  take(event: DatapathEvent): void {
    const slice = this.#slice;
    if (slice === undefined) return;
    if (event.kind === 'entry' && event.token === slice.token) slice.found.push(event.report);
    if (event.kind === 'listed' && event.token === slice.token) slice.listed(event.next);
  }

  /** No answers come any more. */
  close(): void {
    this.#closed = true;
  }

  /** Entries that match (ct_state aside); all of them without a match. */
  list(match: Match = everything): Promise<EntryReport[]> {
    const turn = this.#turn.then(() => this.#list(match));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** The next entries behind a place of one worker, and the place to go on at; 0: that was all. */
  some(
    worker: number,
    place: number,
    count: number,
  ): Promise<{ found: EntryReport[]; next: number }> {
    const turn = this.#turn.then(async () => {
      const found: EntryReport[] = [];
      const next = await this.#ask({ worker, place, count, match: everything }, found);
      return { found, next };
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Has entries reported when they end or are idle, and now and then while they go on; or not. */
  reportEnds(times: { idleMs: number; activeMs: number } | undefined): void {
    for (const writer of this.#writers) {
      writer.reportEnds(times);
      writer.give();
    }
  }

  /** Idle times of connections from now on. */
  setTimeouts(timeouts: ConnectionTimeouts): void {
    for (const writer of this.#writers) {
      writer.setTimeouts(timeouts);
      writer.give();
    }
  }

  /** Marks connections; resolves when it is done. Any worker may do it for all. */
  async mark(marks: readonly ConnectionMark[]): Promise<void> {
    const [writer] = this.#writers;
    if (writer === undefined) return;
    for (const mark of marks) {
      while (!writer.markConnection(mark)) {
        writer.give();
        await this.#pause();
      }
    }
    writer.give();
    while (!writer.done) await this.#pause();
  }

  async #pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (this.#closed) throw gone();
  }

  async #list(match: Match): Promise<EntryReport[]> {
    const found: EntryReport[] = [];
    for (const worker of this.#writers.keys()) {
      let place = 0;
      do {
        place = await this.#ask({ worker, place, count: placesPerSlice, match }, found);
      } while (place !== 0);
    }
    return found;
  }

  /** One slice; what it has is appended to `found`. Returns the place to go on at. */
  async #ask(asked: SliceQuery, found: EntryReport[]): Promise<number> {
    for (let tries = 0; tries < triesMax; tries += 1) {
      const next = await this.#askOnce(asked, found);
      if (next !== undefined) return next;
    }
    throw new SwitchError('ERR_TIMEOUT', `worker ${asked.worker} does not list its connections`);
  }

  /** Undefined: no answer came. */
  async #askOnce(asked: SliceQuery, found: EntryReport[]): Promise<number | undefined> {
    if (this.#closed) throw gone();
    const { worker, place, count, match } = asked;
    const writer = this.#writers[worker]!;
    this.#token = (this.#token + 1) >>> 0;
    const token = this.#token;
    const mine: EntryReport[] = [];
    let timer: NodeJS.Timeout | undefined;
    const answer = new Promise<number | undefined>((resolve) => {
      this.#slice = { token, found: mine, listed: resolve };
      timer = setTimeout(() => resolve(undefined), againMs);
    });
    if (writer.listEntries({ place, count, token, ...match })) writer.give();
    const next = await answer;
    clearTimeout(timer);
    this.#slice = undefined;
    if (next !== undefined) for (const report of mine) found.push(report);
    return next;
  }
}

interface SliceQuery {
  readonly worker: number;
  readonly place: number;
  readonly count: number;
  readonly match: Match;
}

function gone(): SwitchError {
  return new SwitchError('ERR_DATAPATH_CLOSED', 'the datapath has gone');
}
