// slowpath/datapath-port.ts — what the slow path needs of a datapath: its memory and a few calls.
//
// The smallest interface that upcalls, flows and commands fit through, so that unit tests stand a
// few arrays in its place. Memory is shared with the workers as native/datapath/layout.h says; all
// of it is read and written as 32-bit words.

import type { DatapathRings } from '../datapath/adapter.ts';
import { flowSlot, upcallRecord } from '../datapath/layout.ts';

export type { FlowMemory, WorkerRings as WorkerPort } from '../datapath/adapter.ts';
export { commandKind, recordKind, upcallReason, verdictKind } from '../datapath/layout.ts';

/** Workers' rings and the flow store: all of a datapath that the slow path touches. */
export type DatapathPort = Pick<DatapathRings, 'workers' | 'flows'>;

/** True when a cursor has reached a position; both wrap at 2^32, and are less than 2^31 apart. */
export function reached(cursor: number, position: number): boolean {
  return ((cursor - position) | 0) >= 0;
}

/** Word offsets of what the slow path reads and writes in an upcall record. */
export const upcallWord = Object.freeze({
  recordBytes: upcallRecord.recordBytes / 4,
  kind: upcallRecord.kind / 4,
  reason: upcallRecord.reason / 4,
  rxNs: upcallRecord.rxNs / 4,
  verdictKind: upcallRecord.verdictKind / 4,
  verdictFlow: upcallRecord.verdictFlow / 4,
  verdictGeneration: upcallRecord.verdictGeneration / 4,
  key: upcallRecord.key / 4,
  verdictReason: upcallRecord.verdictReason / 4,
  inlineCount: upcallRecord.inlineCount / 4,
  inlineActions: upcallRecord.inlineActions / 4,
});

export const flowSlotWords = flowSlot.size / 4;
export const flowFree = 0;
export const flowLive = 1;

/** Word offsets in a flow slot. */
export const flowWord = Object.freeze({
  state: flowSlot.state / 4,
  generation: flowSlot.generation / 4,
  actionWords: flowSlot.actionWords / 4,
  decision: flowSlot.decision / 4,
  createdMs: flowSlot.createdMs / 4,
  key: flowSlot.key / 4,
  mask: flowSlot.mask / 4,
  actions: flowSlot.actions / 4,
});
