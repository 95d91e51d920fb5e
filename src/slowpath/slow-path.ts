// slowpath/slow-path.ts — the slow path as one thing: answer, revalidate, learn, take over.
//
// Made for one datapath at a time; when the datapath is started anew, make a new one. Its owner
// calls answer() when the doorbell rings and tick() now and then; neither waits for anything.
// Nothing here is asynchronous, so rules never change under a walk.

import type { LearningNetwork } from '../pipeline/learned.ts';
import type { Pipeline, RuleChanges } from '../pipeline/pipeline.ts';
import { type AnswerCounts, Answerer } from './answer.ts';
import type { DatapathPort } from './datapath-port.ts';
import { DropLedger } from './drop-ledger.ts';
import { FlowChanges } from './flow-changes.ts';
import { FlowStore } from './flow-store.ts';
import type { LatencyHistogram } from './latency.ts';
import { Learning } from './learning.ts';
import { type Reconciled, reconcile } from './reconcile.ts';
import { Revalidator } from './revalidate.ts';

export interface SlowPathParts {
  readonly datapath: DatapathPort;
  readonly pipeline: Pipeline;
  /** Milliseconds of CLOCK_MONOTONIC, as the workers stamp flows; see monotonicMs(). */
  readonly nowMs?: () => number;
  readonly log: (message: string, error: unknown) => void;
}

export interface SlowPathCounts extends AnswerCounts {
  readonly kept: number;
  readonly replaced: number;
  readonly removed: number;
  readonly expired: number;
}

/** Time that tick() takes at most, unless told otherwise. */
export const tickBudgetMs = 5;

/** Milliseconds of CLOCK_MONOTONIC: the clock of the workers, unlike performance.now(). */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

export class SlowPath {
  readonly pipeline: Pipeline;
  readonly flows: FlowStore;
  readonly learning: Learning;
  readonly drops: DropLedger;
  readonly #datapath: DatapathPort;
  readonly #changes: FlowChanges;
  readonly #revalidator: Revalidator;
  readonly #answerer: Answerer;
  readonly #nowMs: () => number;

  constructor(parts: SlowPathParts) {
    const { datapath, pipeline, log } = parts;
    const nowMs = parts.nowMs ?? monotonicMs;
    const store = new FlowStore(datapath.flows);
    const changes = new FlowChanges(datapath, store);
    const revalidator = new Revalidator({ pipeline, store, changes, nowMs });
    const learning = new Learning(pipeline, {
      addressChanged: (mac) => revalidator.requestMac(mac),
      everythingChanged: () => revalidator.request(),
    });
    revalidator.learning = learning;
    this.pipeline = pipeline;
    this.flows = store;
    this.learning = learning;
    const drops = new DropLedger(pipeline, store);
    store.onLeave = (slot) => drops.leave(slot);
    this.drops = drops;
    this.#datapath = datapath;
    this.#changes = changes;
    this.#revalidator = revalidator;
    this.#answerer = new Answerer({
      pipeline,
      store,
      learning,
      nowMs,
      log,
      onDrop: (verdict, reason) => drops.once(verdict, reason),
    });
    this.#nowMs = nowMs;
  }

  get counts(): SlowPathCounts {
    return { ...this.#answerer.counts, ...this.#revalidator.counts };
  }

  /** From packets' arrival to their verdicts. */
  get latency(): LatencyHistogram {
    return this.#answerer.latency;
  }

  /** True while installed flows may still follow rules that are gone. */
  get behind(): boolean {
    return this.#revalidator.behind || this.#changes.pending > 0;
  }

  /** Answers a turn of upcalls of every worker; true when more wait: call again soon. */
  answer(): boolean {
    let more = false;
    for (const worker of this.#datapath.workers) {
      if (this.#answerer.answer(worker)) more = true;
    }
    return more;
  }

  /** A slice of revalidation, expiry and learning's aging; true when nothing is left to do now. */
  tick(budgetMs = tickBudgetMs): boolean {
    this.learning.expire(this.#nowMs());
    const done = this.#revalidator.tick(budgetMs);
    this.#changes.pump();
    return done && this.#changes.pending === 0;
  }

  /** Changes rules; flows follow within the next ticks, and `behind` tells until when. */
  applyRules(changes: RuleChanges, learning: ReadonlyMap<number, LearningNetwork>): void {
    this.drops.settle();
    const { everything, prefixes } = this.pipeline.apply(changes);
    this.learning.setNetworks(learning);
    if (everything || changes.added.length + changes.removed.length > 0) {
      this.#revalidator.request();
    } else {
      for (const prefix of prefixes) this.#revalidator.requestPrefix(prefix);
    }
  }

  /** Takes over the flows that are installed; the rules of today must be in the pipeline. */
  reconcile(): Reconciled {
    const result = reconcile({
      pipeline: this.pipeline,
      store: this.flows,
      learning: this.learning,
      revalidator: this.#revalidator,
    });
    this.#changes.pump();
    return result;
  }
}
