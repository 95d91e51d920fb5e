// slowpath/drop-ledger.ts — drops by port, reason and rule, with a recent packet of each.
//
// The data path counts drops by port and reason. Which rule it was is known here: a flow that drops
// counts its packets, and its slot names the decision; what flows counted is added up when they
// leave. Drops that need no rule (bad packets, full rings) have none. Workers show a dropped packet
// of each port and reason about once a second; the latest of each is kept.
//
// Limits: cellsMax kinds; a kind that comes when all are in use replaces the oldest.

import type { DropEvent } from '../datapath/events.ts';
import { dropReasonOf } from '../flow/actions.ts';
import { field, getNumber, setNumber } from '../flow/key.ts';
import { parsePacket } from '../flow/packet.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { Translation, translate } from '../pipeline/translate.ts';
import { Decisions, type DecisionText } from './decisions.ts';
import type { FlowStore } from './flow-store.ts';

const cellsMax = 4096;
/** In the place of a port, for packets of tunnels: their flows do not tell by which uplink. */
export const fromTunnel = -1;

/** A dropped packet that was shown. */
export interface DropSample extends DecisionText {
  readonly port: number;
  readonly reason: number;
  readonly timeMs: number;
  readonly packet: Uint8Array;
  readonly originalBytes: number;
  /** Flow key of the packet, or what its bytes tell of it. */
  readonly key: Uint32Array;
  /** Slot of the flow that dropped it; 0: none, or it is gone. */
  readonly flow: number;
}

/** Packets of one port that one rule dropped for one reason. */
export interface DropCount extends DecisionText {
  /** Or `fromTunnel`. */
  readonly port: number;
  readonly reason: number;
  readonly packets: number;
  /** Undefined: none was shown. */
  readonly recent: DropSample | undefined;
}

interface Cell {
  readonly port: number;
  readonly reason: number;
  readonly text: DecisionText;
  packets: number;
  recent: DropSample | undefined;
}

export class DropLedger {
  readonly decisions: Decisions;
  /** Told of flows that drop, when they leave: for a log. */
  onDenial: ((slot: number) => void) | undefined;
  readonly #pipeline: Pipeline;
  readonly #store: FlowStore;
  readonly #cells = new Map<string, Cell>();
  readonly #walk = new Translation();

  constructor(pipeline: Pipeline, store: FlowStore) {
    this.decisions = new Decisions(pipeline);
    this.#pipeline = pipeline;
    this.#store = store;
  }

  /** A flow leaves: what it dropped is added up. */
  leave(slot: number): void {
    const reason = this.reasonAt(slot);
    if (reason === 0) return;
    const { packets } = this.#store.memory.carried(slot);
    if (packets === 0) return;
    this.onDenial?.(slot);
    this.#cellAt(slot, reason).packets += packets;
  }

  /** A packet was dropped by a verdict of its own. */
  once(verdict: Translation, reason: number): void {
    const text = this.decisions.text(verdict.decision);
    this.#cell(portOf(verdict.key, 0), reason, text).packets += 1;
  }

  /** Rules are about to change: the names of those that drop now are remembered. */
  settle(): void {
    for (let slot = 1; slot <= this.#store.highest; slot += 1) {
      if (this.#store.isLinked(slot) && this.reasonAt(slot) !== 0) {
        this.decisions.remember(this.#store.decision(slot));
      }
    }
    this.decisions.forget();
  }

  /** A worker shows a packet that it dropped. */
  take(event: DropEvent): void {
    const { port, reason, packet, originalBytes } = event;
    const key = keyOf(event);
    const flow = this.#store.isCurrent(event.flow, event.generation) ? event.flow : 0;
    const text = this.#textOf(flow, key, reason);
    const timeMs = Number(event.timeNs / 1_000_000n);
    const sample = { ...text, port, reason, timeMs, packet, originalBytes, key, flow };
    this.#cell(portOf(key, 0), reason, text).recent = sample;
  }

  /** Everything counted, flows that live included; in no order. */
  counts(): DropCount[] {
    const counts = new Map<string, Cell>();
    for (const [name, cell] of this.#cells) counts.set(name, { ...cell });
    for (let slot = 1; slot <= this.#store.highest; slot += 1) {
      const reason = this.#store.isLinked(slot) ? this.reasonAt(slot) : 0;
      if (reason === 0) continue;
      const { packets } = this.#store.memory.carried(slot);
      const [port, text] = this.#whose(slot);
      const name = nameOf(port, reason, text);
      const cell = counts.get(name) ?? { port, reason, text, packets: 0, recent: undefined };
      cell.packets += packets;
      counts.set(name, cell);
    }
    return [...counts.values()].map(({ text, ...cell }) => ({ ...cell, ...text }));
  }

  /** Packets that were shown, the latest of each kind, latest first. */
  samples(): DropSample[] {
    const found = [...this.#cells.values()].flatMap(({ recent }) => recent ?? []);
    return found.sort((one, other) => other.timeMs - one.timeMs);
  }

  /** A packet that this flow dropped and that was shown; undefined: none was. */
  sampleOf(slot: number): DropSample | undefined {
    for (const { recent } of this.#cells.values()) if (recent?.flow === slot) return recent;
    return undefined;
  }

  /** Drop reason of the flow's program; 0: it does not drop. */
  reasonAt(slot: number): number {
    return dropReasonOf(this.#store.memory.slots, this.#store.actionsAt(slot));
  }

  #whose(slot: number): [port: number, text: DecisionText] {
    const { slots } = this.#store.memory;
    const port = portOf(slots, this.#store.keyAt(slot));
    return [port, this.decisions.text(this.#store.decision(slot))];
  }

  #cellAt(slot: number, reason: number): Cell {
    const [port, text] = this.#whose(slot);
    return this.#cell(port, reason, text);
  }

  #cell(port: number, reason: number, text: DecisionText): Cell {
    const name = nameOf(port, reason, text);
    let cell = this.#cells.get(name);
    if (cell !== undefined) return cell;
    cell = { port, reason, text, packets: 0, recent: undefined };
    this.#cells.set(name, cell);
    if (this.#cells.size > cellsMax) {
      const [oldest] = this.#cells.keys();
      this.#cells.delete(oldest!);
    }
    return cell;
  }

  /** The rule: that of the flow, or the one that the packet would meet now, if it says the same. */
  #textOf(flow: number, key: Uint32Array, reason: number): DecisionText {
    if (flow !== 0 && this.reasonAt(flow) === reason) {
      return this.decisions.text(this.#store.decision(flow));
    }
    translate(this.#pipeline, key, 0, this.#walk);
    const same = this.#walk.dropReason === reason;
    return same ? this.decisions.text(this.#walk.decision) : noRule;
  }
}

const noRule: DecisionText = Object.freeze({ rule: '', origin: '', path: '' });

function portOf(key: Uint32Array, base: number): number {
  if (getNumber(key, base, field.tunnel_id) !== 0) return fromTunnel;
  return getNumber(key, base, field.in_port);
}

function nameOf(port: number, reason: number, { rule }: DecisionText): string {
  return `${port} ${reason} ${rule}`;
}

/** The worker's key; where it had none, what the bytes say. */
function keyOf({ key, packet, port }: DropEvent): Uint32Array {
  if (key.some((word) => word !== 0)) return key;
  parsePacket(packet, key);
  setNumber(key, 0, field.in_port, port);
  return key;
}
