// datapath/rings.ts — commands for a worker, written where they lie, in shared memory.
//
// Cursors move only through the addon, which knows the memory order.

import { commandKind, commandRecord, connectionTimeouts, flowKey } from './layout.ts';
import { type RingMemory, ringWord, type WorkerMemory } from './memory.ts';
import type { NativeDatapath } from './native.ts';

const recordAlign = 64;

function wholeLines(bytes: number): number {
  return (bytes + recordAlign - 1) & ~(recordAlign - 1);
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

/** Idle times after which connections are forgotten, in ms. */
export type ConnectionTimeouts = Readonly<
  Record<Exclude<keyof typeof connectionTimeouts, 'size'>, number>
>;

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

  /** Has exact entries told of; undefined: not any more. False: no room. */
  reportEnds(times: { idleMs: number; activeMs: number } | undefined): boolean {
    const base = this.#reserve(commandRecord.size);
    if (base < 0) return false;
    const { words } = this.#ring;
    this.#head(base, commandRecord.size, commandKind.ReportEnds);
    words[(base + commandRecord.slot) / 4] = times === undefined ? 0 : 1;
    words[(base + commandRecord.idleMs) / 4] = times?.idleMs ?? 0;
    words[(base + commandRecord.activeMs) / 4] = times?.activeMs ?? 0;
    return true;
  }

  /** Idle times of connections from now on, of those that live as well. False: no room. */
  setTimeouts(timeouts: ConnectionTimeouts): boolean {
    const bytes = commandRecord.size + wholeLines(connectionTimeouts.size);
    const base = this.#reserve(bytes);
    if (base < 0) return false;
    this.#head(base, bytes, commandKind.SetTimeouts);
    const { size: _size, ...offsets } = connectionTimeouts;
    for (const [name, offset] of Object.entries(offsets)) {
      const at = (base + commandRecord.size + offset) / 4;
      this.#ring.words[at] = timeouts[name as keyof ConnectionTimeouts];
    }
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
