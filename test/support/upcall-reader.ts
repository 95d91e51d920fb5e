// support/upcall-reader.ts — a worker's upcalls one by one, for tests that answer them by hand.
//
// Records are read and written where they lie, in shared memory; a reader is one object that is
// moved from record to record. What a record says is trusted: the datapath wrote it.

import { recordKind, upcallRecord, verdictKind } from '../../src/datapath/layout.ts';
import {
  type RingMemory,
  ringWord,
  type WorkerMemory,
  waitingUpcalls,
} from '../../src/datapath/memory.ts';
import type { NativeDatapath } from '../../src/datapath/native.ts';

/** The upcall that a reader stands at. Offsets are bytes from the ring's start. */
export class UpcallReader {
  readonly #worker: number;
  readonly #ring: RingMemory;
  readonly #native: Pick<NativeDatapath, 'giveVerdicts'>;
  #start = 0;
  #waiting = 0;
  #passed = 0;
  #base = 0;

  constructor(native: Pick<NativeDatapath, 'giveVerdicts'>, worker: number, memory: WorkerMemory) {
    this.#native = native;
    this.#worker = worker;
    this.#ring = memory.upcalls;
  }

  /** Looks what waits; next() then walks over it. Returns the bytes of it. */
  take(): number {
    this.#waiting = waitingUpcalls(this.#ring);
    this.#start = this.#ring.header[ringWord.answered] ?? 0;
    this.#passed = 0;
    return this.#waiting;
  }

  /** Moves to the next record that is no pad; false at the end of what was taken. */
  next(): boolean {
    const { words, capacity } = this.#ring;
    while (this.#passed < this.#waiting) {
      this.#base = ((this.#start + this.#passed) & (capacity - 1)) >>> 0;
      const word = this.#base / 4;
      this.#passed += words[word + upcallRecord.recordBytes / 4] ?? 0;
      if (words[word + upcallRecord.kind / 4] !== recordKind.Pad) return true;
    }
    return false;
  }

  /** Gives the verdicts of all records that next() has passed. */
  give(): void {
    if (this.#passed === 0) return;
    this.#native.giveVerdicts(this.#worker, this.#passed);
    this.#waiting = 0;
    this.#passed = 0;
  }

  /** All words of the ring, and where this record's begin: for the key, which is read where it
   * lies. */
  get words(): Uint32Array {
    return this.#ring.words;
  }
  get base(): number {
    return this.#base / 4;
  }
  get keyBase(): number {
    return (this.#base + upcallRecord.key) / 4;
  }
  get follower(): boolean {
    return this.#word(upcallRecord.kind) === recordKind.Follower;
  }
  get reason(): number {
    return this.#word(upcallRecord.reason);
  }
  get inPort(): number {
    return this.#word(upcallRecord.inPort);
  }
  /** The packet, borrowed until give(). */
  get packet(): Uint8Array {
    const start = this.#base + upcallRecord.size;
    return this.#ring.bytes.subarray(start, start + this.#word(upcallRecord.packetBytes));
  }

  /** Install the flow, then run the packet through it. */
  answerFlow(slot: number, generation: number): void {
    this.#setWord(upcallRecord.verdictFlow, slot);
    this.#setWord(upcallRecord.verdictGeneration, generation);
    this.#setWord(upcallRecord.verdictKind, verdictKind.Flow);
  }
  /** Run these words on this packet only; at most inlineActionWordsMax of them. */
  answerOnce(program: Uint32Array, count: number): void {
    const at = (this.#base + upcallRecord.inlineActions) / 4;
    for (let i = 0; i < count; i += 1) this.#ring.words[at + i] = program[i] ?? 0;
    this.#setWord(upcallRecord.inlineCount, count);
    this.#setWord(upcallRecord.verdictKind, verdictKind.Once);
  }
  answerRetry(): void {
    this.#setWord(upcallRecord.verdictKind, verdictKind.Retry);
  }
  answerDrop(reason: number): void {
    this.#setWord(upcallRecord.verdictReason, reason);
    this.#setWord(upcallRecord.verdictKind, verdictKind.Drop);
  }

  #word(offset: number): number {
    return this.#ring.words[(this.#base + offset) / 4] ?? 0;
  }
  #setWord(offset: number, value: number): void {
    this.#ring.words[(this.#base + offset) / 4] = value;
  }
}
