// datapath/rings.ts — the slow path's ends of a worker's rings: upcalls, verdicts, commands.
//
// Records are read and written where they lie, in shared memory; a reader is one object that is
// moved from record to record, so that a burst of upcalls allocates nothing. Cursors move only
// through the addon, which knows the memory order. What a record says is trusted: the datapath
// wrote it.

import {
  commandKind,
  commandRecord,
  flowKey,
  recordKind,
  upcallRecord,
  verdictKind,
} from './layout.ts';
import { type RingMemory, ringWord, type WorkerMemory } from './memory.ts';
import type { NativeDatapath } from './native.ts';

const recordAlign = 64;

function wholeLines(bytes: number): number {
  return (bytes + recordAlign - 1) & ~(recordAlign - 1);
}

/** The upcall that a reader stands at. Offsets are bytes from the ring's start. */
export class UpcallReader {
  readonly #worker: number;
  readonly #ring: RingMemory;
  readonly #native: Pick<NativeDatapath, 'takeUpcalls' | 'giveVerdicts'>;
  #start = 0;
  #waiting = 0;
  #passed = 0;
  #base = 0;

  constructor(
    native: Pick<NativeDatapath, 'takeUpcalls' | 'giveVerdicts'>,
    worker: number,
    memory: WorkerMemory,
  ) {
    this.#native = native;
    this.#worker = worker;
    this.#ring = memory.upcalls;
  }

  /** Looks what waits; next() then walks over it. Returns the bytes of it. */
  take(): number {
    this.#waiting = this.#native.takeUpcalls(this.#worker);
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

/** Which exact entries of a worker are wanted. */
export interface EntryQuery {
  /** First place of the exact cache to look at, and how many. */
  readonly place: number;
  readonly count: number;
  /** Given back in the events. */
  readonly token: number;
  /** What entries must match; ct_state is no part of them. */
  readonly key: Uint32Array;
  readonly mask: Uint32Array;
}

export interface ConnectionMark {
  readonly connection: number;
  readonly generation: number;
  /** ctState.kept, or 0. */
  readonly bits: number;
  /** How long; 0: as long as the connection. */
  readonly ms: number;
}

/** Writes commands behind each other and shows them to the worker at once. */
export class CommandWriter {
  readonly #worker: number;
  readonly #ring: RingMemory;
  readonly #native: Pick<NativeDatapath, 'commandRoom' | 'giveCommands'>;
  #written = 0;

  constructor(
    native: Pick<NativeDatapath, 'commandRoom' | 'giveCommands'>,
    worker: number,
    memory: WorkerMemory,
  ) {
    this.#native = native;
    this.#worker = worker;
    this.#ring = memory.commands;
  }

  /** Whether the worker has done everything given so far. */
  get done(): boolean {
    const { header } = this.#ring;
    return this.#written === 0 && header[ringWord.produced] === header[ringWord.consumed];
  }

  /** Commands without a packet that can be written now. */
  room(): number {
    return Math.floor(
      (this.#native.commandRoom(this.#worker) - this.#written) / commandRecord.size,
    );
  }

  /** InstallFlow, RemoveFlow, FlushExact, Barrier. False: no room, nothing written. */
  put(kind: number, slot: number, generation: number): boolean {
    const base = this.#reserve(commandRecord.size);
    if (base < 0) return false;
    this.#head(base, commandRecord.size, kind);
    this.#ring.words[(base + commandRecord.slot) / 4] = slot;
    this.#ring.words[(base + commandRecord.generation) / 4] = generation;
    return true;
  }

  /** Runs the first `count` words of `program` on a packet as if it came in by `inPort` (0: ours).
   * */
  packetOut(inPort: number, program: Uint32Array, count: number, packet: Uint8Array): boolean {
    const actionBytes = wholeLines(count * 4);
    const bytes = commandRecord.size + actionBytes + wholeLines(packet.length);
    const base = this.#reserve(bytes);
    if (base < 0) return false;
    const { words, bytes: content } = this.#ring;
    this.#head(base, bytes, commandKind.PacketOut);
    words[(base + commandRecord.inPort) / 4] = inPort;
    words[(base + commandRecord.actionWords) / 4] = count;
    words[(base + commandRecord.packetBytes) / 4] = packet.length;
    const at = (base + commandRecord.size) / 4;
    for (let i = 0; i < count; i += 1) words[at + i] = program[i] ?? 0;
    content.set(packet, base + commandRecord.size + actionBytes);
    return true;
  }

  /** Asks for exact entries; Entry and Listed events answer. False: no room, nothing written. */
  listEntries({ place, count, token, key, mask }: EntryQuery): boolean {
    const bytes = commandRecord.size + wholeLines(2 * flowKey.size);
    const base = this.#reserve(bytes);
    if (base < 0) return false;
    const { words } = this.#ring;
    this.#head(base, bytes, commandKind.ListEntries);
    words[(base + commandRecord.slot) / 4] = place;
    words[(base + commandRecord.generation) / 4] = count;
    words[(base + commandRecord.token) / 4] = token;
    words.set(key, (base + commandRecord.size) / 4);
    words.set(mask, (base + commandRecord.size + flowKey.size) / 4);
    return true;
  }

  /** Gives ct_state of a connection's packets more bits, for so long. False: no room. */
  markConnection({ connection, generation, bits, ms }: ConnectionMark): boolean {
    const base = this.#reserve(commandRecord.size);
    if (base < 0) return false;
    const { words } = this.#ring;
    this.#head(base, commandRecord.size, commandKind.MarkConnection);
    words[(base + commandRecord.slot) / 4] = connection;
    words[(base + commandRecord.generation) / 4] = generation;
    words[(base + commandRecord.mark) / 4] = bits;
    words[(base + commandRecord.markMs) / 4] = ms;
    return true;
  }

  /** Shows what was written to the worker, and wakes it. */
  give(): void {
    if (this.#written === 0) return;
    this.#native.giveCommands(this.#worker, this.#written);
    this.#written = 0;
  }

  #head(base: number, bytes: number, kind: number): void {
    this.#ring.words.fill(0, base / 4, (base + commandRecord.size) / 4);
    this.#ring.words[(base + commandRecord.recordBytes) / 4] = bytes;
    this.#ring.words[(base + commandRecord.kind) / 4] = kind;
  }

  /** Place of a record in one piece, behind a pad if need be; -1 when there is no room. */
  #reserve(bytes: number): number {
    const { header, words, capacity } = this.#ring;
    const cursor = (header[ringWord.produced] ?? 0) + this.#written;
    const at = (cursor & (capacity - 1)) >>> 0;
    const pad = capacity - at < bytes ? capacity - at : 0;
    if (pad + bytes > this.#native.commandRoom(this.#worker) - this.#written) return -1;
    if (pad !== 0) {
      words[(at + commandRecord.recordBytes) / 4] = pad;
      words[(at + commandRecord.kind) / 4] = commandKind.Pad;
    }
    this.#written += pad + bytes;
    return pad === 0 ? at : 0;
  }
}
