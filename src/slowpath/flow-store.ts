// slowpath/flow-store.ts — the flow slots in shared memory: which are free, which hold what.
//
// TypeScript numbers the flows and alone writes the slots (native/datapath/layout.h). A slot is
// written, then made live; it is named to workers by number and generation. A flow that is to go is
// unlinked here at once, so that no new verdict names it; its slot becomes free when every worker
// has done the command to remove it (flow-changes.ts). Slots hold the masked key: translating it
// gives the verdict again (see translate.ts). A new vtepd finds the live slots and takes them over.
//
// Shares. A port, or a network that comes in by an uplink, may have twice as many flows as there
// are free slots: two thirds of the table alone, two fifths beside another one. So a port that
// scans leaves room to everybody else; what it asks beyond that is answered for each packet anew.
//
// Limits: all memory is allocated in the constructor, about 24 bytes a slot.

import { field, flowKeyWords } from '../flow/key.ts';
import type { Translation } from '../pipeline/translate.ts';
import { type FlowMemory, flowFree, flowLive, flowSlotWords, flowWord } from './datapath-port.ts';

const unused = 0;
const linked = 1;
const leaving = 2;

/** Owners of flows are told apart by a hash, so two of them may have one share. */
const ownersMax = 4096;
const sharePerFree = 2;
/** What exact entries hold of a generation. */
const generationMask = 0xffffff;

export class FlowStore {
  readonly memory: FlowMemory;
  /** Of the document whose rules are in force: flows that are made or checked now follow it. */
  revision = 0;
  /** Told of flows that leave, while their slots still hold all. */
  onLeave: ((slot: number) => void) | undefined;
  readonly #words: Uint32Array;
  /** unused, linked or leaving, by slot. */
  readonly #state: Uint8Array;
  /** First slot of each chain, and the next one of each slot; 0: end. */
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  /** Unused slots: the first #freeCount entries. */
  readonly #free: Int32Array;
  /** Slots in use, by owner. */
  readonly #owned = new Int32Array(ownersMax);
  /** When the flow in hand is made, in words of 32 bits. */
  readonly #created = new Uint32Array(2);
  /** Revision that each flow followed when it was made or checked last. */
  readonly #revisions: Uint32Array;
  #freeCount = 0;
  #size = 0;
  #highest = 0;

  constructor(memory: FlowMemory) {
    this.memory = memory;
    this.#words = memory.slots;
    this.#state = new Uint8Array(memory.count);
    this.#next = new Int32Array(memory.count);
    this.#free = new Int32Array(memory.count);
    this.#revisions = new Uint32Array(memory.count);
    let heads = 16;
    while (heads < memory.count) heads *= 2;
    this.#heads = new Int32Array(heads);
    this.#adopt();
  }

  /** Flows that verdicts may name. */
  get size(): number {
    return this.#size;
  }

  /** Most flows that there can be. */
  get capacity(): number {
    return this.memory.count - 1;
  }

  /** No slot above this one was ever used. */
  get highest(): number {
    return this.#highest;
  }

  /** Slots in use, those of leaving flows included: 0 to 1. */
  get fill(): number {
    return 1 - this.#freeCount / this.capacity;
  }

  /** How much of its share the owner of a flow has used: 0 to 1. */
  crowding(slot: number): number {
    const owned = this.#owned[owner(this.#words, this.keyAt(slot))]!;
    return Math.min(1, owned / (sharePerFree * this.#freeCount));
  }

  /** True when the slot holds a flow that verdicts may name. */
  isLinked(slot: number): boolean {
    return this.#state[slot] === linked;
  }

  generation(slot: number): number {
    return this.#words[slot * flowSlotWords + flowWord.generation]!;
  }

  decision(slot: number): number {
    return this.#words[slot * flowSlotWords + flowWord.decision]!;
  }

  setDecision(slot: number, decision: number): void {
    this.#words[slot * flowSlotWords + flowWord.decision] = decision;
  }

  /** The flow was held against the rules of today, and is right. */
  confirm(slot: number): void {
    this.#revisions[slot] = this.revision;
  }

  /** Of the document that the flow followed when it was made or checked last. */
  revisionOf(slot: number): number {
    return this.#revisions[slot]!;
  }

  createdMs(slot: number): number {
    const at = slot * flowSlotWords + flowWord.createdMs;
    return this.#words[at]! + this.#words[at + 1]! * 2 ** 32;
  }

  /** Last use, or its beginning while it has not been used. */
  usedMs(slot: number): number {
    return this.memory.usedMs(slot) || this.createdMs(slot);
  }

  /** Index in memory.slots of the masked key. */
  keyAt(slot: number): number {
    return slot * flowSlotWords + flowWord.key;
  }

  maskAt(slot: number): number {
    return slot * flowSlotWords + flowWord.mask;
  }

  actionsAt(slot: number): number {
    return slot * flowSlotWords + flowWord.actions;
  }

  actionCount(slot: number): number {
    return this.#words[slot * flowSlotWords + flowWord.actionWords]!;
  }

  /** Where flows like this verdict's are: find() and add() of one verdict share the work. */
  bucket(verdict: Translation): number {
    return this.#bucket(verdict.key, 0, verdict.mask, 0);
  }

  /**
   * The flow that this verdict would make, if there is one with the same mask and masked key; or 0.
   */
  find(verdict: Translation, bucket = this.bucket(verdict)): number {
    let slot = this.#heads[bucket]!;
    while (slot !== 0 && !this.#matches(slot, verdict)) slot = this.#next[slot]!;
    return slot;
  }

  /** Makes a flow of the verdict; 0 when there is no free slot, or none for its owner. */
  add(verdict: Translation, nowMs: number, bucket = this.bucket(verdict)): number {
    // Small enough to be compiled into its callers, so that the time is not allocated as an object.
    this.#created[0] = nowMs % 2 ** 32;
    this.#created[1] = nowMs / 2 ** 32;
    return this.#make(verdict, bucket);
  }

  #make(verdict: Translation, bucket: number): number {
    if (this.#freeCount === 0) return 0;
    const whose = owner(verdict.key, 0);
    if (this.#owned[whose]! >= sharePerFree * this.#freeCount) return 0;
    this.#freeCount -= 1;
    const slot = this.#free[this.#freeCount]!;
    const words = this.#words;
    const at = slot * flowSlotWords;
    words[at + flowWord.generation] = words[at + flowWord.generation]! + 1;
    words[at + flowWord.actionWords] = verdict.actionCount;
    words[at + flowWord.decision] = verdict.decision;
    words[at + flowWord.createdMs] = this.#created[0]!;
    words[at + flowWord.createdMs + 1] = this.#created[1]!;
    for (let index = 0; index < flowKeyWords; index += 1) {
      words[at + flowWord.key + index] = verdict.key[index]! & verdict.mask[index]!;
      words[at + flowWord.mask + index] = verdict.mask[index]!;
    }
    for (let index = 0; index < verdict.actionCount; index += 1) {
      words[at + flowWord.actions + index] = verdict.actions[index]!;
    }
    Atomics.store(words, at + flowWord.state, flowLive);
    this.#link(slot, bucket, whose);
    this.confirm(slot);
    return slot;
  }

  /**
   * True when the flow has the verdict's mask and actions; its masked key is the verdict's anyway.
   */
  agrees(slot: number, verdict: Translation): boolean {
    const words = this.#words;
    const mask = this.maskAt(slot);
    for (let index = 0; index < flowKeyWords; index += 1) {
      if (words[mask + index] !== verdict.mask[index]) return false;
    }
    return this.doesSame(slot, verdict);
  }

  /** True when the flow does what the verdict says. */
  doesSame(slot: number, verdict: Translation): boolean {
    if (this.actionCount(slot) !== verdict.actionCount) return false;
    const actions = this.actionsAt(slot);
    for (let index = 0; index < verdict.actionCount; index += 1) {
      if (this.#words[actions + index] !== verdict.actions[index]) return false;
    }
    return true;
  }

  /** True when a verdict may name the flow, and a worker that knows `generation` means this one. */
  isCurrent(slot: number, generation: number): boolean {
    if (slot === 0 || slot >= this.memory.count || !this.isLinked(slot)) return false;
    return ((this.generation(slot) ^ generation) & generationMask) === 0;
  }

  /** True when the verdict looked at no bit that the flow's mask leaves wild. */
  covers(slot: number, verdict: Translation): boolean {
    const mask = this.maskAt(slot);
    for (let index = 0; index < flowKeyWords; index += 1) {
      if ((verdict.mask[index]! & ~this.#words[mask + index]!) !== 0) return false;
    }
    return true;
  }

  /** Takes the flow out of find(); its slot stays in use until free(). */
  unlink(slot: number): void {
    if (this.#state[slot] !== linked) throw new Error(`flow ${slot} is not linked`);
    this.onLeave?.(slot);
    const bucket = this.#bucketOf(slot);
    let before = 0;
    for (let other = this.#heads[bucket]!; other !== slot; other = this.#next[other]!) {
      before = other;
    }
    if (before === 0) this.#heads[bucket] = this.#next[slot]!;
    else this.#next[before] = this.#next[slot]!;
    this.#state[slot] = leaving;
    this.#size -= 1;
  }

  /** Every worker has forgotten the flow: the slot may be used again. */
  free(slot: number): void {
    if (this.#state[slot] !== leaving) throw new Error(`flow ${slot} is not leaving`);
    Atomics.store(this.#words, slot * flowSlotWords + flowWord.state, flowFree);
    this.#state[slot] = unused;
    this.#owned[owner(this.#words, this.keyAt(slot))]! -= 1;
    this.#free[this.#freeCount] = slot;
    this.#freeCount += 1;
  }

  /** Takes over what an earlier vtepd installed; low numbers are used first. */
  #adopt(): void {
    for (let slot = this.memory.count - 1; slot > 0; slot -= 1) {
      if (this.#words[slot * flowSlotWords + flowWord.state] === flowLive) {
        this.#link(slot, this.#bucketOf(slot), owner(this.#words, this.keyAt(slot)));
        continue;
      }
      this.#free[this.#freeCount] = slot;
      this.#freeCount += 1;
    }
  }

  #link(slot: number, bucket: number, whose: number): void {
    this.#next[slot] = this.#heads[bucket]!;
    this.#heads[bucket] = slot;
    this.#state[slot] = linked;
    this.#owned[whose]! += 1;
    this.#size += 1;
    if (slot > this.#highest) this.#highest = slot;
  }

  #bucketOf(slot: number): number {
    return this.#bucket(this.#words, this.keyAt(slot), this.#words, this.maskAt(slot));
  }

  /** FNV-1a over the words of mask and masked key; most words of most masks are zero. */
  #bucket(key: Uint32Array, keyBase: number, mask: Uint32Array, maskBase: number): number {
    let hash = 0x811c9dc5 | 0;
    for (let index = 0; index < flowKeyWords; index += 1) {
      const bits = mask[maskBase + index]!;
      if (bits === 0) continue;
      hash = Math.imul(hash ^ bits ^ index, 0x01000193);
      hash = Math.imul(hash ^ (key[keyBase + index]! & bits), 0x01000193);
      hash ^= hash >>> 15;
    }
    return hash & (this.#heads.length - 1);
  }

  #matches(slot: number, verdict: Translation): boolean {
    const words = this.#words;
    const key = this.keyAt(slot);
    const mask = this.maskAt(slot);
    for (let index = 0; index < flowKeyWords; index += 1) {
      const bits = verdict.mask[index]!;
      if (words[mask + index] !== bits) return false;
      if (words[key + index] !== (verdict.key[index]! & bits) >>> 0) return false;
    }
    return true;
  }
}

/** Whose flow it is: every mask has in_port and tunnel_id, so a masked key tells as well. */
function owner(key: Uint32Array, base: number): number {
  const inPort = key[base + field.in_port.offset / 4]!;
  const tunnelId = key[base + field.tunnel_id.offset / 4]!;
  const mixed = Math.imul(inPort ^ Math.imul(tunnelId, 0x9e3779b1), 0x85ebca6b);
  return (mixed >>> 8) % ownersMax;
}
