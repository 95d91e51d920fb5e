// slowpath/answer.ts — upcall records in, verdicts out, in place, a batch at a time.
//
// Every record gets a verdict, whatever happens: this is the only catch around translate. A packet
// that it fails on is dropped with slow_path_error and counted, and the log hears of it at most
// once a second. A verdict that makes the same flow as an earlier one (another worker asked, or the
// same question came twice) names the earlier flow: workers install a flow they have as often as
// they are told to. Followers look again. Copies that an action sent up are looked at for learning
// only: the packet itself went on, so their verdict forwards nothing.
//
// No allocation per record but for learning.

import { inlineActionWordsMax } from '../flow/actions.ts';
import { dropReason } from '../flow/drop-reasons.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { Translation, translate } from '../pipeline/translate.ts';
import {
  recordKind,
  upcallReason,
  upcallWord,
  verdictKind,
  type WorkerPort,
} from './datapath-port.ts';
import type { FlowStore } from './flow-store.ts';
import { LatencyHistogram } from './latency.ts';
import type { Learning } from './learning.ts';

/** Records of one worker that are answered before others have their turn. */
export const recordsPerTurn = 512;
const recordBytesMin = 64;
const logPeriodMs = 1_000;
const latencyMaxUs = 0x7fffffff;

export interface AnswerCounts {
  /** Records with a question; followers and pads are not. */
  upcalls: number;
  followers: number;
  /** Flows made. */
  flows: number;
  /** Answered with a flow that existed already. */
  known: number;
  once: number;
  drops: number;
  errors: number;
}

export interface AnswerParts {
  readonly pipeline: Pipeline;
  readonly store: FlowStore;
  readonly learning: Learning;
  /** Milliseconds of CLOCK_MONOTONIC. */
  readonly nowMs: () => number;
  /** A packet is dropped by a verdict that makes no flow. */
  readonly onDrop?: (verdict: Translation, reason: number) => void;
  /** Something went wrong that an operator must see. */
  readonly log: (message: string, error: unknown) => void;
}

export class Answerer {
  readonly counts: AnswerCounts = {
    upcalls: 0,
    followers: 0,
    flows: 0,
    known: 0,
    once: 0,
    drops: 0,
    errors: 0,
  };
  /** From the packet's arrival to its verdict. */
  readonly latency = new LatencyHistogram();
  readonly #parts: AnswerParts;
  readonly #verdict = new Translation();
  /** Of the turn: a number that is handed on would be allocated at each call. */
  #nowMs = 0;
  #loggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  constructor(parts: AnswerParts) {
    this.#parts = parts;
  }

  /** Answers what waits at a worker, up to a turn's worth; true when more waits. */
  answer(worker: WorkerPort): boolean {
    const waiting = worker.takeUpcalls();
    if (waiting === 0) return false;
    const { upcalls } = worker;
    const last = upcalls.length * 4 - 1;
    const start = worker.answeredCursor();
    this.#nowMs = this.#parts.nowMs();
    let bytes = 0;
    for (let count = 0; bytes < waiting && count < recordsPerTurn; count += 1) {
      const at = ((start + bytes) & last) >>> 2;
      const length = upcalls[at + upcallWord.recordBytes]!;
      // The ring is the datapath's: a size that cannot be is its bug, and there is no way on.
      if (length < recordBytesMin || length % recordBytesMin !== 0 || length > waiting - bytes) {
        throw new Error(`upcall record of ${length} bytes, ${waiting - bytes} wait`);
      }
      this.#record(upcalls, at);
      bytes += length;
    }
    worker.giveVerdicts(bytes);
    // What came meanwhile rang no doorbell, since we were seen to be at work: look once more. A
    // datapath that was closed takes nothing.
    return worker.answeredCursor() !== start && worker.takeUpcalls() > 0;
  }

  #record(words: Uint32Array, at: number): void {
    const kind = words[at + upcallWord.kind];
    if (kind === recordKind.Follower) {
      this.counts.followers += 1;
      words[at + upcallWord.verdictKind] = verdictKind.Retry;
      return;
    }
    if (kind !== recordKind.Upcall) return;
    this.counts.upcalls += 1;
    try {
      this.#translate(words, at);
      if (words[at + upcallWord.reason] === upcallReason.Miss) this.#decide(words, at);
      else drop(words, at, dropReason.None);
    } catch (error) {
      this.counts.errors += 1;
      drop(words, at, dropReason.SlowPathError);
      this.#report(error);
    }
    const rxUs = (words[at + upcallWord.rxNs]! + words[at + upcallWord.rxNs + 1]! * 2 ** 32) / 1000;
    // A whole number of 32 bits needs no memory of its own.
    this.latency.add(Math.min(latencyMaxUs, Math.max(0, this.#nowMs * 1000 - rxUs)) | 0);
  }

  #translate(words: Uint32Array, at: number): void {
    const { pipeline, learning } = this.#parts;
    const verdict = this.#verdict;
    translate(pipeline, words, at + upcallWord.key, verdict);
    if (!verdict.learn || !learning.learn(verdict, this.#nowMs)) return;
    translate(pipeline, words, at + upcallWord.key, verdict);
  }

  #decide(words: Uint32Array, at: number): void {
    const { store } = this.#parts;
    const verdict = this.#verdict;
    if (!verdict.cacheable || verdict.learn) {
      this.#once(words, at, dropReason.TranslateLimit);
      return;
    }
    const bucket = store.bucket(verdict);
    let slot = store.find(verdict, bucket);
    if (slot !== 0 && store.agrees(slot, verdict)) {
      this.counts.known += 1;
    } else {
      slot = store.add(verdict, this.#nowMs, bucket);
      if (slot === 0) {
        this.#once(words, at, dropReason.FlowTableFull);
        return;
      }
      this.counts.flows += 1;
    }
    words[at + upcallWord.verdictKind] = verdictKind.Flow;
    words[at + upcallWord.verdictFlow] = slot;
    words[at + upcallWord.verdictGeneration] = store.generation(slot);
  }

  /** The verdict for this packet alone; a program too long for its record drops with `tooLong`. */
  #once(words: Uint32Array, at: number, tooLong: number): void {
    const { actions, actionCount, dropReason: reason } = this.#verdict;
    if (reason !== 0 || actionCount > inlineActionWordsMax) {
      this.counts.drops += 1;
      drop(words, at, reason !== 0 ? reason : tooLong);
      this.#parts.onDrop?.(this.#verdict, reason !== 0 ? reason : tooLong);
      return;
    }
    this.counts.once += 1;
    words[at + upcallWord.verdictKind] = verdictKind.Once;
    words[at + upcallWord.inlineCount] = actionCount;
    for (let index = 0; index < actionCount; index += 1) {
      words[at + upcallWord.inlineActions + index] = actions[index]!;
    }
  }

  #report(error: unknown): void {
    const nowMs = this.#nowMs;
    if (nowMs - this.#loggedMs < logPeriodMs) {
      this.#unlogged += 1;
      return;
    }
    const more = this.#unlogged === 0 ? '' : ` (and ${this.#unlogged} more like it)`;
    this.#loggedMs = nowMs;
    this.#unlogged = 0;
    this.#parts.log(`the slow path failed on a packet, which is dropped${more}`, error);
  }
}

function drop(words: Uint32Array, at: number, reason: number): void {
  words[at + upcallWord.verdictKind] = verdictKind.Drop;
  words[at + upcallWord.verdictReason] = reason;
}
