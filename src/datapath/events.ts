// datapath/events.ts — what workers tell besides upcalls: captured packets, drops, exact entries.
//
// Events are copied out of the ring, since readers keep them. A full ring loses events, never
// packets; worker counter events_lost tells how many.

import { flowKeyWords } from '../flow/key.ts';
import { captureVerdict, entryReport, eventKind, eventRecord, flowKey } from './layout.ts';
import { ringWord, type WorkerMemory } from './memory.ts';
import type { NativeDatapath } from './native.ts';

/** A packet that was captured, and what became of it. */
export interface CaptureEvent {
  readonly kind: 'capture';
  /** in: as it came in; out: as it leaves. */
  readonly direction: 'in' | 'out';
  readonly port: number;
  /** Nanoseconds of the Unix epoch. */
  readonly timeNs: bigint;
  /** A copy, cut to captureBytesMax. */
  readonly packet: Uint8Array;
  readonly originalBytes: number;
  /** Slot of the flow that decided; 0: none. */
  readonly flow: number;
  readonly verdict: 'forwarded' | 'upcall' | 'dropped' | 'answered';
  readonly dropReason: number;
  /** in: first output port; out: the port that it came in by. 0: none. */
  readonly otherPort: number;
}

/** A dropped packet: about one a second of each port and reason. */
export interface DropEvent {
  readonly kind: 'drop';
  /** Port that it came in by; 0: one that we made. */
  readonly port: number;
  readonly timeNs: bigint;
  readonly reason: number;
  /** Slot and generation of the flow that dropped it; 0: none. */
  readonly flow: number;
  readonly generation: number;
  /** All zeros where the drop happened too early, or too late, for a key. */
  readonly key: Uint32Array;
  /** A copy, cut to dropSampleBytesMax. */
  readonly packet: Uint8Array;
  readonly originalBytes: number;
}

/** One direction of one connection, as the exact cache has or had it. */
export interface EntryReport {
  readonly worker: number;
  /** With ct_state as packets of it would have it now. */
  readonly key: Uint32Array;
  /** Since it was made; of an `ended` event: since it was told of last. */
  readonly packets: number;
  readonly bytes: number;
  /** Slot of its flow, and the low 24 bits of the flow's generation. */
  readonly flow: number;
  readonly generation: number;
  /** Decision of that flow when the entry was made. */
  readonly decision: number;
  /** Number of its connection; 0: none. */
  readonly connection: number;
  readonly connectionGeneration: number;
  /** ConnectionState of native/flow/connection.h; 0: none. */
  readonly state: number;
  /** Since it was made; of an `ended` event: since that which is told of began. */
  readonly ageMs: number;
  readonly idleMs: number;
}

/** Why a flow is told of, by its number: flowEndReason of IPFIX (RFC 5102, 5.11.3). */
export const flowEnds = ['', 'idle', 'active', 'end', 'forced', 'evicted'] as const;
export type FlowEnd = Exclude<(typeof flowEnds)[number], ''>;

/** An exact entry that was asked for, or (ended) what one has carried since it was told of last. */
export interface EntryEvent {
  readonly kind: 'entry' | 'ended';
  readonly timeNs: bigint;
  readonly token: number;
  readonly report: EntryReport;
  /** Of an `ended` event; `forced` otherwise. */
  readonly why: FlowEnd;
}

/** A list is done; it goes on at place `next`, 0: that was all. */
export interface ListedEvent {
  readonly kind: 'listed';
  readonly token: number;
  readonly next: number;
}

export type DatapathEvent = CaptureEvent | DropEvent | EntryEvent | ListedEvent;

const verdictNames = ['forwarded', 'upcall', 'dropped', 'answered'] as const;

/** One record in the ring. */
interface Record {
  readonly worker: number;
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  /** Byte offsets of the record and of what follows it. */
  readonly base: number;
  readonly content: number;
}

/** Reads the events that wait on one worker, and gives their bytes back. */
export function readEvents(
  native: Pick<NativeDatapath, 'takeEvents' | 'freeEvents'>,
  worker: number,
  memory: WorkerMemory,
): DatapathEvent[] {
  const { header, words, bytes, capacity } = memory.events;
  const waiting = native.takeEvents(worker);
  const start = header[ringWord.consumed] ?? 0;
  const events: DatapathEvent[] = [];
  for (let passed = 0; passed < waiting; ) {
    const base = ((start + passed) & (capacity - 1)) >>> 0;
    passed += words[(base + eventRecord.recordBytes) / 4] ?? 0;
    const event = eventOf({ worker, words, bytes, base, content: base + eventRecord.size });
    if (event !== undefined) events.push(event);
  }
  native.freeEvents(worker, waiting);
  return events;
}

function eventOf(record: Record): DatapathEvent | undefined {
  const kind = word(record, eventRecord.kind);
  switch (kind) {
    case eventKind.CaptureRx:
    case eventKind.CaptureTx:
      return captureOf(record, kind === eventKind.CaptureRx ? 'in' : 'out');
    case eventKind.Drop:
      return dropOf(record);
    case eventKind.Entry:
    case eventKind.EntryEnd:
      return {
        kind: kind === eventKind.Entry ? 'entry' : 'ended',
        timeNs: timeOf(record),
        token: word(record, eventRecord.token),
        report: reportOf(record),
        why: flowEnds[word(record, eventRecord.size + entryReport.why)] || 'forced',
      };
    case eventKind.Listed:
      return {
        kind: 'listed',
        token: word(record, eventRecord.token),
        next: word(record, eventRecord.flow),
      };
    default:
      return undefined; // A pad, or a kind of a newer datapath.
  }
}

function word({ words, base }: Record, offset: number): number {
  return words[(base + offset) / 4] ?? 0;
}

function timeOf(record: Record): bigint {
  const high = BigInt(word(record, eventRecord.timeNs + 4));
  return BigInt(word(record, eventRecord.timeNs)) | (high << 32n);
}

function captureOf(record: Record, direction: 'in' | 'out'): CaptureEvent {
  const { bytes, content } = record;
  const verdict = word(record, eventRecord.verdict);
  return {
    kind: 'capture',
    direction,
    port: word(record, eventRecord.port),
    timeNs: timeOf(record),
    packet: bytes.slice(content, content + word(record, eventRecord.packetBytes)),
    originalBytes: word(record, eventRecord.originalBytes),
    flow: word(record, eventRecord.flow),
    verdict: verdictNames[verdict] ?? verdictNames[captureVerdict.Forwarded],
    dropReason: word(record, eventRecord.dropReason),
    otherPort: word(record, eventRecord.otherPort),
  };
}

function dropOf(record: Record): DropEvent {
  const { words, bytes, content } = record;
  const end = content + word(record, eventRecord.packetBytes);
  return {
    kind: 'drop',
    port: word(record, eventRecord.port),
    timeNs: timeOf(record),
    reason: word(record, eventRecord.dropReason),
    flow: word(record, eventRecord.flow),
    generation: word(record, eventRecord.generation),
    key: words.slice(content / 4, content / 4 + flowKeyWords),
    packet: bytes.slice(content + flowKey.size, end),
    originalBytes: word(record, eventRecord.originalBytes),
  };
}

function reportOf({ worker, words, content }: Record): EntryReport {
  const at = (offset: number) => words[(content + offset) / 4] ?? 0;
  const wide = (offset: number) => at(offset) + at(offset + 4) * 2 ** 32;
  return {
    worker,
    key: words.slice(content / 4, content / 4 + flowKeyWords),
    packets: wide(entryReport.packets),
    bytes: wide(entryReport.bytes),
    flow: at(entryReport.flow),
    generation: at(entryReport.generation),
    decision: at(entryReport.decision),
    connection: at(entryReport.connection),
    connectionGeneration: at(entryReport.connectionGeneration),
    state: at(entryReport.connectionState),
    ageMs: at(entryReport.ageMs),
    idleMs: at(entryReport.idleMs),
  };
}
