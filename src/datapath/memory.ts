// datapath/memory.ts — the parts of the shared region as typed arrays.
//
// All views stand on the one buffer of the datapath, so reading them copies nothing. The machine is
// little-endian, as the addon's build asserts. 64-bit cells are read as two halves: a reader that
// runs beside the writer may be off by one carry for an instant, which counters accept (layout.h).

import { SwitchError } from '../lib/errors.ts';
import {
  commandRecord,
  eventRecord,
  flowSlot,
  flowStats,
  limits,
  regionHeader,
  ringHeader,
  upcallRecord,
} from './layout.ts';

/** One ring: its cursors and its bytes. */
export interface RingMemory {
  /** RingHeader as words; cursor positions in ringWord. */
  readonly header: Uint32Array;
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  /** Bytes, a power of two. */
  readonly capacity: number;
}

/** Word offsets of the cursors in RingMemory.header. */
export const ringWord = Object.freeze({
  produced: ringHeader.produced / 4,
  answered: ringHeader.answered / 4,
  consumed: ringHeader.consumed / 4,
});

/**
 * Bytes of upcall records that wait behind the `answered` cursor; cursors that cannot be count as
 * nothing. Read here and not by a call of the addon, since a call costs the first packet of a flow
 * several microseconds.
 */
export function waitingUpcalls({ header, capacity }: RingMemory): number {
  // Acquires the records. What giveVerdicts() stored before is seen by then: it ends with a fence.
  const produced = Atomics.load(header, ringWord.produced);
  const bytes = (produced - (header[ringWord.answered] ?? 0)) >>> 0;
  return bytes <= capacity ? bytes : 0;
}

/** One worker's part of the region. */
export interface WorkerMemory {
  readonly upcalls: RingMemory;
  readonly commands: RingMemory;
  readonly events: RingMemory;
  /** FlowStats[flowMax]. */
  readonly stats: Uint32Array;
  /** uint64[workerCounterMax]. */
  readonly counters: Uint32Array;
  /** uint64[portMax][portCounterMax]. */
  readonly ports: Uint32Array;
  /** uint64[portMax][dropReasonMax]. */
  readonly drops: Uint32Array;
}

export interface RegionMemory {
  readonly datapathPid: number;
  /** CLOCK_MONOTONIC of the datapath's start, ns: tells a new datapath from the old one. */
  readonly startedNs: bigint;
  readonly flowMax: number;
  /** FlowSlot[flowMax], 128 words each. */
  readonly flows: Uint32Array;
  readonly workers: readonly WorkerMemory[];
}

/** Bytes of each record's head: what stands before its packet. */
export const recordHead = Object.freeze({
  upcall: upcallRecord.size,
  command: commandRecord.size,
  event: eventRecord.size,
});

/**
 * Views of a region.
 * @throws SwitchError ERR_PROTOCOL when the memory is no region of this version, or shorter than
 * it says
 */
export function regionMemory(buffer: ArrayBuffer): RegionMemory {
  const view = new DataView(buffer);
  const word = (offset: number) => view.getUint32(offset, true);
  const wide = (offset: number) => Number(view.getBigUint64(offset, true));
  if (
    buffer.byteLength < regionHeader.size ||
    word(regionHeader.magic) !== limits.layoutMagic ||
    word(regionHeader.version) !== limits.layoutVersion ||
    wide(regionHeader.bytes) !== buffer.byteLength
  ) {
    throw new SwitchError('ERR_PROTOCOL', "the datapath's memory has another layout than ours");
  }
  const flowMax = word(regionHeader.flowMax);
  const words = (offset: number, bytes: number) => new Uint32Array(buffer, offset, bytes / 4);
  const part = (field: number, worker: number, bytes: number) =>
    words(wide(field) + worker * bytes, bytes);
  const sizes = [
    word(regionHeader.upcallRingBytes),
    word(regionHeader.commandRingBytes),
    word(regionHeader.eventRingBytes),
  ] as const;
  const ring = (worker: number, index: number): RingMemory => {
    const before = sizes.slice(0, index).reduce((sum, size) => sum + ringHeader.size + size, 0);
    const start = wide(regionHeader.ringsOffset) + worker * wide(regionHeader.ringStride) + before;
    const capacity = sizes[index] ?? 0;
    const content = start + ringHeader.size;
    return {
      header: words(start, ringHeader.size),
      words: words(content, capacity),
      bytes: new Uint8Array(buffer, content, capacity),
      capacity,
    };
  };
  const worker = (number: number): WorkerMemory => ({
    upcalls: ring(number, 0),
    commands: ring(number, 1),
    events: ring(number, 2),
    stats: part(regionHeader.statsOffset, number, flowMax * flowStats.size),
    counters: part(regionHeader.countersOffset, number, limits.workerCounterMax * 8),
    ports: part(regionHeader.portsOffset, number, limits.portMax * limits.portCounterMax * 8),
    drops: part(regionHeader.dropsOffset, number, limits.portMax * limits.dropReasonMax * 8),
  });
  return {
    datapathPid: word(regionHeader.datapathPid),
    startedNs: view.getBigUint64(regionHeader.startedNs, true),
    flowMax,
    flows: words(wide(regionHeader.flowsOffset), flowMax * flowSlot.size),
    workers: Array.from({ length: word(regionHeader.workerCount) }, (_, index) => worker(index)),
  };
}

/** A 64-bit cell as a number; exact up to 2^53. `index` counts cells. */
export function wideAt(words: Uint32Array, index: number): number {
  return (words[2 * index] ?? 0) + (words[2 * index + 1] ?? 0) * 0x1_0000_0000;
}
