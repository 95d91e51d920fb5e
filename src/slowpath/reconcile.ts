// slowpath/reconcile.ts — a new vtepd takes over the flows of the one before it.
//
// The data path has gone on with them meanwhile. Flows that today's rules would make again stay,
// and no packet of theirs notices; the others are replaced or removed. What the earlier vtepd had
// learned died with it, but its flows tell: a flow from an address that is not known proves that
// the address was learned where the flow comes from.

import type { Pipeline } from '../pipeline/pipeline.ts';
import { Translation, translate } from '../pipeline/translate.ts';
import type { FlowStore } from './flow-store.ts';
import type { Learning } from './learning.ts';
import type { Revalidator } from './revalidate.ts';

/** What became of the flows that were found. */
export interface Reconciled {
  readonly kept: number;
  readonly replaced: number;
  readonly removed: number;
  /** Idle for too long, whatever the rules say of them. */
  readonly expired: number;
}

export interface ReconcileParts {
  readonly pipeline: Pipeline;
  readonly store: FlowStore;
  readonly learning: Learning;
  readonly revalidator: Revalidator;
}

/**
 * Holds every adopted flow against the rules; with 65 535 flows it takes some tenths of a second.
 */
export function reconcile(parts: ReconcileParts): Reconciled {
  relearn(parts);
  const { counts } = parts.revalidator;
  const before = { ...counts };
  const found = parts.store.size;
  parts.revalidator.request();
  parts.revalidator.finish();
  const replaced = counts.replaced - before.replaced;
  const removed = counts.removed - before.removed;
  const expired = counts.expired - before.expired;
  return { kept: found - replaced - removed - expired, replaced, removed, expired };
}

function relearn({ pipeline, store, learning }: ReconcileParts): void {
  if (learning.agingMs === undefined) return;
  const walk = new Translation();
  for (let slot = 1; slot <= store.highest; slot += 1) {
    if (!store.isLinked(slot)) continue;
    translate(pipeline, store.memory.slots, store.keyAt(slot), walk);
    if (walk.learn) learning.learn(walk, store.usedMs(slot));
  }
}
