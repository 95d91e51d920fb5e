// datapath/adapter.ts — a datapath as the slow path wants it: rings, flow store, ages.
//
// Over shared memory and the addon's batch calls. The interfaces are small, so that a few arrays
// can stand in a datapath's place.

import { carried, usedMs } from './counters.ts';
import {
  type RegionMemory,
  regionMemory,
  ringWord,
  type WorkerMemory,
  waitingUpcalls,
} from './memory.ts';
import type { NativeDatapath } from './native.ts';
import { CommandWriter } from './rings.ts';

/** One worker's rings. Cursors count bytes since the start, modulo 2^32. */
export interface WorkerRings {
  /** Bytes of the upcall ring; the length is a power of two. */
  readonly upcalls: Uint32Array;
  /** Bytes of records that wait for a verdict, behind answeredCursor(). */
  takeUpcalls(): number;
  /** The next `bytes` of records have their verdicts. */
  giveVerdicts(bytes: number): void;
  /** Verdicts up to here have been given. */
  answeredCursor(): number;
  /** Verdicts up to here have been executed. */
  executedCursor(): number;
  /** Commands that can be written now. */
  commandRoom(): number;
  /** Writes a command without showing it to the worker; there must be room. */
  putCommand(kind: number, slot: number, generation: number): void;
  /** Shows the commands written so far to the worker. */
  giveCommands(): void;
  /** Commands up to here have been given. */
  commandCursor(): number;
  /** Commands up to here have been done. */
  doneCursor(): number;
}

/** The flow store. */
export interface FlowMemory {
  /** FlowSlot[count], 128 words each. */
  readonly slots: Uint32Array;
  readonly count: number;
  /**
   * Milliseconds of CLOCK_MONOTONIC of the last packet on any worker; 0: none since installation.
   */
  usedMs(slot: number): number;
  /** Packets and bytes on all workers since installation. */
  carried(slot: number): { readonly packets: number; readonly bytes: number };
}

export interface DatapathRings {
  readonly workers: readonly WorkerRings[];
  readonly flows: FlowMemory;
  readonly memory: RegionMemory;
}

/** The datapath's rings and flow store. Valid for the datapath's life; works (empty) after
 * close(). */
export function datapathPort(native: NativeDatapath): DatapathRings {
  const memory = regionMemory(native.memory);
  return {
    workers: memory.workers.map((part, worker) => workerRings(native, worker, part)),
    flows: {
      slots: memory.flows,
      count: memory.flowMax,
      usedMs: (slot) => usedMs(memory, slot),
      carried: (slot) => carried(memory, slot),
    },
    memory,
  };
}

function workerRings(native: NativeDatapath, worker: number, memory: WorkerMemory): WorkerRings {
  const commands = new CommandWriter(native, worker, memory);
  const { upcalls } = memory;
  const cursor = (header: Uint32Array, word: number) => header[word] ?? 0;
  return {
    upcalls: upcalls.words,
    takeUpcalls: () => waitingUpcalls(upcalls),
    giveVerdicts: (bytes) => native.giveVerdicts(worker, bytes),
    answeredCursor: () => cursor(upcalls.header, ringWord.answered),
    executedCursor: () => cursor(upcalls.header, ringWord.consumed),
    commandRoom: () => commands.room(),
    putCommand: (kind, slot, generation) => {
      commands.put(kind, slot, generation);
    },
    giveCommands: () => commands.give(),
    commandCursor: () => cursor(memory.commands.header, ringWord.produced),
    doneCursor: () => cursor(memory.commands.header, ringWord.consumed),
  };
}
