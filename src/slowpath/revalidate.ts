// slowpath/revalidate.ts — installed flows, held against the rules of today.
//
// After a change of rules, and now and then without one, each flow's masked key is translated
// again: same mask and actions, the flow stays; otherwise a successor is installed and the flow
// removed in one go. When the new walk looked at bits that the flow left wild, the flow stood for
// packets that differ now, and what was in those bits is not known: it is removed without a
// successor, and its packets ask again. Flows without traffic expire, the sooner the fuller the
// table.
//
// Work is done in slices: tick() stops when its time is up and goes on there at the next one.

import { field, getByte } from '../flow/key.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { stageIndex } from '../pipeline/stages.ts';
import { Translation, translate } from '../pipeline/translate.ts';
import type { FlowChanges } from './flow-changes.ts';
import type { FlowStore } from './flow-store.ts';
import type { Learning } from './learning.ts';

/** A flow without packets goes after so long; in a table that fills up, sooner. */
export const idleMs = 10_000;
export const idleFullMs = 500;
/** From here on, flows expire the sooner the fuller the table is. */
const crowded = 0.8;
/** All flows are looked at for expiry this often, and translated again this often. */
const expiryPeriodMs = 1_000;
const translatePeriodMs = 10_000;
/** The clock is read once for so many flows. */
const flowsPerClock = 32;

export interface RevalidateParts {
  readonly pipeline: Pipeline;
  readonly store: FlowStore;
  readonly changes: FlowChanges;
  /** Milliseconds of CLOCK_MONOTONIC, as in flow slots. */
  readonly nowMs: () => number;
}

export class Revalidator {
  readonly counts = { kept: 0, replaced: 0, removed: 0, expired: 0 };
  readonly #parts: RevalidateParts;
  readonly #verdict = new Translation();
  #learning: Learning | undefined;
  /** Next slot of the pass under way; 0: none is. */
  #next = 0;
  #translating = false;
  #wanted = false;
  /**
   * Addresses as hexadecimal text whose flows are to be translated, now and in the pass under way.
   */
  #macsWanted = new Set<string>();
  #macs = new Set<string>();
  #lastPassMs: number;
  #lastTranslateMs: number;

  constructor(parts: RevalidateParts) {
    this.#parts = parts;
    this.#lastPassMs = parts.nowMs();
    this.#lastTranslateMs = this.#lastPassMs;
  }

  /** Where the use of flows is reported. */
  set learning(learning: Learning) {
    this.#learning = learning;
  }

  /** True while flows wait to be held against changed rules. */
  get behind(): boolean {
    return this.#wanted || this.#macsWanted.size > 0 || (this.#next !== 0 && this.#checking);
  }

  /** All flows may be wrong: rules have changed. */
  request(): void {
    this.#wanted = true;
  }

  /** Flows from or to this address may be wrong. */
  requestMac(mac: Uint8Array): void {
    this.#macsWanted.add(Buffer.from(mac).toString('hex'));
  }

  /** Works for about `budgetMs`; true when there is nothing left to do now. */
  tick(budgetMs: number): boolean {
    const { store, nowMs } = this.#parts;
    let now = nowMs();
    const until = now + budgetMs;
    if (this.#next === 0 || this.#wanted) this.#begin(now);
    const timeoutMs = idleTimeout(store.fill);
    while (this.#next !== 0) {
      const end = Math.min(this.#next + flowsPerClock, store.highest + 1);
      for (let slot = this.#next; slot < end; slot += 1) this.#visit(slot, now, timeoutMs);
      this.#next = end > store.highest ? 0 : end;
      if (this.#next === 0) this.#begin(now);
      now = nowMs();
      if (now >= until) break;
    }
    return this.#next === 0;
  }

  /** Visits every flow now, whatever it takes: at start, and in tests. */
  finish(): void {
    while (!this.tick(Number.POSITIVE_INFINITY) || this.behind);
  }

  get #checking(): boolean {
    return this.#translating || this.#macs.size > 0;
  }

  /** Starts a pass when one is due or asked for. */
  #begin(now: number): void {
    const agingMs = this.#learning?.agingMs ?? Number.POSITIVE_INFINITY;
    const translateDue = now - this.#lastTranslateMs >= Math.min(translatePeriodMs, agingMs / 2);
    const due = translateDue || now - this.#lastPassMs >= expiryPeriodMs;
    this.#macs.clear();
    if (!due && !this.#wanted && this.#macsWanted.size === 0) return;
    this.#translating = this.#wanted || translateDue;
    [this.#macs, this.#macsWanted] = [this.#macsWanted, this.#macs];
    this.#wanted = false;
    this.#lastPassMs = now;
    if (this.#translating) this.#lastTranslateMs = now;
    this.#next = this.#parts.store.highest === 0 ? 0 : 1;
    if (this.#next === 0) this.#macs.clear();
  }

  #visit(slot: number, now: number, timeoutMs: number): void {
    const { store, changes } = this.#parts;
    if (!store.isLinked(slot)) return;
    if (now - store.usedMs(slot) > timeoutMs) {
      this.counts.expired += 1;
      changes.retire(slot);
    } else if (this.#translating || this.#concerned(slot)) {
      this.#check(slot, now);
    }
  }

  /** True when the flow is from or to an address that changed. */
  #concerned(slot: number): boolean {
    if (this.#macs.size === 0) return false;
    const key = this.#parts.store.keyAt(slot);
    return (
      this.#macs.has(this.#macText(key, field.eth_src.offset)) ||
      this.#macs.has(this.#macText(key, field.eth_dst.offset))
    );
  }

  #macText(key: number, offset: number): string {
    let text = '';
    for (let index = 0; index < 6; index += 1) {
      const byte = getByte(this.#parts.store.memory.slots, key, offset + index);
      text += (byte + 0x100).toString(16).slice(1);
    }
    return text;
  }

  #check(slot: number, now: number): void {
    const { pipeline, store, changes } = this.#parts;
    const verdict = this.#verdict;
    translate(pipeline, store.memory.slots, store.keyAt(slot), verdict);
    const lasting = verdict.cacheable && !verdict.learn;
    if (lasting && store.agrees(slot, verdict)) {
      this.counts.kept += 1;
      if (store.decision(slot) !== verdict.decision) store.setDecision(slot, verdict.decision);
      this.#learning?.touch(verdict.rules[stageIndex.learn], store.usedMs(slot));
      return;
    }
    if (!lasting || !store.covers(slot, verdict)) {
      this.counts.removed += 1;
      changes.retire(slot);
      return;
    }
    const other = store.find(verdict);
    const successor = other !== 0 && other !== slot ? 0 : store.add(verdict, now);
    if (successor === 0) this.counts.removed += 1;
    else this.counts.replaced += 1;
    changes.retire(slot, successor);
  }
}

/** How long a flow may be idle in a table that is so full (0 to 1). */
export function idleTimeout(fill: number): number {
  if (fill <= crowded) return idleMs;
  const left = Math.max(0, (1 - fill) / (1 - crowded));
  return Math.round(idleFullMs + (idleMs - idleFullMs) * left);
}
