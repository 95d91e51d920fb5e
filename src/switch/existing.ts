// switch/existing.ts — what becomes of live connections that a change of rules cuts.
//
//   apply --existing   the data path                         vtepd
//   (nothing said)     resets who speaks next                nothing
//   reset              likewise, and those that were kept    lets silent ends know: cut-notice.ts
//   keep               lets them go on until they end        marks them
//   drain              lets them go on until its sweep       marks them; takes the mark off when it
//                      finds that it is time, up to eight    is time, and lets silent ends know
//                      seconds late
//
// Marks are the data path's, which keeps its word while vtepd is away; vtepd only is more punctual.

import type { EntryReport } from '../datapath/events.ts';
import { ctState } from '../flow/key.ts';
import { isKept, pairEntries } from './connections.ts';
import { type SentPacket, tellOfCut } from './cut-notice.ts';
import type { EntryLister } from './entry-lister.ts';

export interface ExistingParts {
  readonly lister: Pick<EntryLister, 'list' | 'mark'>;
  readonly send: (packet: SentPacket) => boolean;
  /** Milliseconds of a clock that does not jump. */
  readonly nowMs: () => number;
}

/** Both directions of a tracked connection, or one of them. */
type Entries = readonly [EntryReport, ...EntryReport[]];

export class Existing {
  readonly #parts: ExistingParts;
  /** Connections that are drained, by number and generation, and until when. */
  readonly #drained = new Map<string, { readonly entries: Entries; readonly untilMs: number }>();

  constructor(parts: ExistingParts) {
    this.#parts = parts;
  }

  /** Lets connections go on for so long; 0: until they end. */
  async keep(connections: readonly Entries[], ms: number): Promise<void> {
    const untilMs = this.#parts.nowMs() + ms;
    for (const entries of connections) {
      if (ms === 0) this.#drained.delete(nameOf(entries));
      else this.#drained.set(nameOf(entries), { entries, untilMs });
    }
    await this.#mark(connections, ctState.kept, ms);
  }

  /** Those that were let go on do so no more; returns their entries. */
  async unmark(): Promise<readonly EntryReport[]> {
    this.#drained.clear();
    const kept = pairEntries(await this.#parts.lister.list()).filter(([first]) => isKept(first));
    await this.#mark(kept, 0, 0);
    return kept.flat();
  }

  /** Lets silent ends know that their connections are cut. */
  tell(directions: readonly EntryReport[]): Promise<void> {
    return tellOfCut(directions, this.#parts.send);
  }

  /** Ends what has been drained for long enough. */
  async tick(): Promise<void> {
    const now = this.#parts.nowMs();
    const due = [...this.#drained].filter(([, { untilMs }]) => untilMs <= now);
    if (due.length === 0) return;
    for (const [name] of due) this.#drained.delete(name);
    const over = due.map(([, { entries }]) => entries);
    await this.#mark(over, 0, 0);
    await this.tell(over.flat());
  }

  #mark(connections: readonly Entries[], bits: number, ms: number): Promise<void> {
    const marks = connections.map(([{ connection, connectionGeneration: generation }]) => {
      return { connection, generation, bits, ms };
    });
    return this.#parts.lister.mark(marks);
  }
}

function nameOf([{ connection, connectionGeneration }]: Entries): string {
  return `${connection} ${connectionGeneration}`;
}
