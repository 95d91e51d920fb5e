// slowpath/revalidate.ts — installed flows, held against the rules of today.
//
// After a change of rules, and now and then without one, each flow's masked key is translated
// again: same mask and actions, the flow stays; otherwise a successor is installed and the flow
// removed in one go. When the new walk looked at bits that the flow left wild, the flow stood for
// packets that differ now, and what was in those bits is not known: it is removed without a
// successor, and its packets ask again. Flows without traffic expire, the sooner the fuller the
// table is, or their port's share of it.
//
// Work is done in slices: tick() stops when its time is up and goes on there at the next one.

import { ethType, field, getByte, getNumber, newKey, setBytes } from '../flow/key.ts';
import { type Cidr, prefixMask } from '../lib/addresses.ts';
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
/** More prefixes than these are not told apart: all flows are translated. */
const prefixesMax = 64;

/** A prefix where it stands in a key: as source, or as destination. */
interface PrefixMatch {
  readonly etherType: number;
  /** Words of the address. */
  readonly first: number;
  readonly end: number;
  readonly key: Uint32Array;
  readonly mask: Uint32Array;
}

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
  /** Prefixes, likewise. */
  #prefixesWanted: PrefixMatch[] = [];
  #prefixes: PrefixMatch[] = [];
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
    return this.#wanted || this.#someWanted || (this.#next !== 0 && this.#checking);
  }

  /** All flows may be wrong: rules have changed. */
  request(): void {
    this.#wanted = true;
  }

  /** Flows from or to this address may be wrong. */
  requestMac(mac: Uint8Array): void {
    this.#macsWanted.add(Buffer.from(mac).toString('hex'));
  }

  /** Flows from or to an address of the prefix may be wrong. */
  requestPrefix(prefix: Cidr): void {
    if (this.#prefixesWanted.length >= prefixesMax) this.#wanted = true;
    else this.#prefixesWanted.push(...matchesOf(prefix));
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
    return this.#translating || this.#macs.size + this.#prefixes.length > 0;
  }

  get #someWanted(): boolean {
    return this.#macsWanted.size + this.#prefixesWanted.length > 0;
  }

  /** Starts a pass when one is due or asked for. */
  #begin(now: number): void {
    const agingMs = this.#learning?.agingMs ?? Number.POSITIVE_INFINITY;
    const translateDue = now - this.#lastTranslateMs >= Math.min(translatePeriodMs, agingMs / 2);
    const due = translateDue || now - this.#lastPassMs >= expiryPeriodMs;
    this.#macs.clear();
    this.#prefixes = [];
    if (!due && !this.#wanted && !this.#someWanted) return;
    this.#translating = this.#wanted || translateDue;
    [this.#macs, this.#macsWanted] = [this.#macsWanted, this.#macs];
    [this.#prefixes, this.#prefixesWanted] = [this.#prefixesWanted, this.#prefixes];
    this.#wanted = false;
    this.#lastPassMs = now;
    if (this.#translating) this.#lastTranslateMs = now;
    this.#next = this.#parts.store.highest === 0 ? 0 : 1;
    if (this.#next !== 0) return;
    this.#macs.clear();
    this.#prefixes = [];
  }

  #visit(slot: number, now: number, timeoutMs: number): void {
    const { store, changes } = this.#parts;
    if (!store.isLinked(slot)) return;
    const idle = now - store.usedMs(slot);
    const crowded = idle > idleFullMs && idle > idleTimeout(store.crowding(slot));
    if (idle > timeoutMs || crowded) {
      this.counts.expired += 1;
      changes.retire(slot);
    } else if (this.#translating || this.#concerned(slot)) {
      this.#check(slot, now);
    }
  }

  /** True when the flow is from or to an address that changed. */
  #concerned(slot: number): boolean {
    const key = this.#parts.store.keyAt(slot);
    if (this.#prefixes.length > 0 && this.#overlaps(slot, key)) return true;
    if (this.#macs.size === 0) return false;
    return (
      this.#macs.has(this.#macText(key, field.eth_src.offset)) ||
      this.#macs.has(this.#macText(key, field.eth_dst.offset))
    );
  }

  /**
   * True when some packet of the flow may be from or to a prefix that changed, and the flow looks
   * at that address: one that does not cannot depend on it.
   */
  #overlaps(slot: number, key: number): boolean {
    const { store } = this.#parts;
    const words = store.memory.slots;
    const mask = store.maskAt(slot);
    for (const prefix of this.#prefixes) {
      if (getNumber(words, key, field.eth_type) !== prefix.etherType) continue;
      let [looked, different] = [0, 0];
      for (let index = prefix.first; index < prefix.end; index += 1) {
        const bits = words[mask + index]!;
        looked |= bits;
        different |= (prefix.key[index]! ^ words[key + index]!) & bits & prefix.mask[index]!;
      }
      if (looked !== 0 && different === 0) return true;
    }
    return false;
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
      store.confirm(slot);
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

/** Packets from the prefix, and packets to it. */
function matchesOf({ family, bytes, prefix }: Cidr): PrefixMatch[] {
  const six = family === 6;
  const places = six ? [field.ipv6_src, field.ipv6_dst] : [field.ip_src, field.ip_dst];
  return places.map((place) => {
    const [key, mask] = [newKey(), newKey()];
    setBytes(key, 0, place, bytes);
    setBytes(mask, 0, place, prefixMask(prefix, six ? 16 : 4));
    const first = place.offset / 4;
    const etherType = six ? ethType.ipv6 : ethType.ipv4;
    return { etherType, first, end: first + place.bytes / 4, key, mask };
  });
}

/** How long a flow may be idle in a table, or a share of it, that is so full (0 to 1). */
export function idleTimeout(fill: number): number {
  if (fill <= crowded) return idleMs;
  const left = Math.max(0, (1 - fill) / (1 - crowded));
  return Math.round(idleFullMs + (idleMs - idleFullMs) * left);
}
