// slowpath/audit.ts — live exact entries, held against what the pipeline says of their packets.
//
// An entry was made from a megaflow that was made from one packet; that its own packets would get
// the same verdict is what masks promise. The audit takes a packet of the entry the plain way,
// through translate(), and compares. Entries whose flow is being replaced, or whose connection has
// another state by now, are about to be made anew: they are not judged.

import type { EntryReport } from '../datapath/events.ts';
import { formatActions } from '../flow/actions.ts';
import { field, getNumber } from '../flow/key.ts';
import { formatKey } from '../flow/key-text.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { Translation, translate } from '../pipeline/translate.ts';
import type { FlowStore } from './flow-store.ts';

export interface Mismatch {
  readonly key: string;
  readonly flow: number;
  /** What the entry does, and what the pipeline says. */
  readonly installed: string;
  readonly right: string;
}

export interface AuditCounts {
  readonly audited: number;
  readonly mismatches: number;
  /** The latest one, in words; empty: there was none. */
  readonly last: string;
}

/** Judges entries; a mismatch is a bug. Counts what it judged. */
export class Audit {
  readonly #pipeline: Pipeline;
  readonly #store: FlowStore;
  readonly #walk = new Translation();
  #audited = 0;
  #mismatches = 0;
  #last = '';

  constructor(pipeline: Pipeline, store: FlowStore) {
    this.#pipeline = pipeline;
    this.#store = store;
  }

  get counts(): AuditCounts {
    return { audited: this.#audited, mismatches: this.#mismatches, last: this.#last };
  }

  /** Call only while flows follow the rules (SlowPath.behind is false). */
  judge(reports: readonly EntryReport[]): Mismatch[] {
    const found: Mismatch[] = [];
    for (const report of reports) {
      if (!this.#isCurrent(report)) continue;
      this.#audited += 1;
      const mismatch = this.#compare(report);
      if (mismatch === undefined) continue;
      this.#mismatches += 1;
      const { key, flow, installed, right } = mismatch;
      this.#last = `flow ${flow} does ${installed} to ${key}: it should be ${right}`;
      found.push(mismatch);
    }
    return found;
  }

  #isCurrent({ flow, generation, key }: EntryReport): boolean {
    const store = this.#store;
    if (!store.isCurrent(flow, generation)) return false;
    const { slots } = store.memory;
    const state = getNumber(slots, store.keyAt(flow), field.ct_state);
    const mask = getNumber(slots, store.maskAt(flow), field.ct_state);
    return ((state ^ getNumber(key, 0, field.ct_state)) & mask) === 0;
  }

  #compare({ flow, key }: EntryReport): Mismatch | undefined {
    const store = this.#store;
    const walk = this.#walk;
    translate(this.#pipeline, key, 0, walk);
    if (store.doesSame(flow, walk)) return undefined;
    const { slots } = store.memory;
    const installed = formatActions(slots, store.actionsAt(flow), store.actionCount(flow));
    const right = formatActions(walk.actions, 0, walk.actionCount);
    return { key: formatKey(key), flow, installed, right };
  }
}
