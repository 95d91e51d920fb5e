// switch/policy-change.ts — which live connections a change of rules cuts or lets through.
//
// The rules to come are put into the pipeline, packets of the live connections are walked through
// them, and the rules are taken out again, all in one turn of the event loop: nothing else ever
// sees them. Connections whose flows stay as they are need no walk of their own. What is tried in
// vain now and would pass is known from dropped packets that were shown in the last minute.

import type { ConnectionChange } from '../control/switch-api.ts';
import type { EntryReport } from '../datapath/events.ts';
import { dropReasonName } from '../flow/drop-reasons.ts';
import { ctState, field, getNumber, setNumber } from '../flow/key.ts';
import type { RuleChanges } from '../pipeline/pipeline.ts';
import { denies, type Rule } from '../pipeline/rule.ts';
import { stageIndex } from '../pipeline/stages.ts';
import { Translation, translate } from '../pipeline/translate.ts';
import type { DropSample } from '../slowpath/drop-ledger.ts';
import type { SlowPath } from '../slowpath/slow-path.ts';
import { connectionView, type EntryPair, pairEntries } from './connections.ts';
import type { EntryLister } from './entry-lister.ts';
import type { Names } from './names.ts';

/** Dropped packets that are older say nothing about now. */
const triedMs = 60_000;
/** Connections that are walked in one turn. */
const walksPerTurn = 2000;

export interface ChangeParts {
  readonly slowPath: SlowPath;
  readonly lister: Pick<EntryLister, 'list'>;
  readonly names: Names;
  readonly changes: RuleChanges;
}

/** A connection that fares otherwise, and its entries; empty: it is tried in vain now. */
export interface ChangedConnection extends ConnectionChange {
  readonly entries: readonly EntryReport[];
}

/** Every connection that the changes cut or let through. */
export async function changedConnections(parts: ChangeParts): Promise<ChangedConnection[]> {
  const { slowPath, lister, changes } = parts;
  const { added, removed, policy } = changes;
  const samePolicy = policy === undefined || policy === slowPath.pipeline.policy.policy;
  if (added.length + removed.length === 0 && samePolicy) return [];
  const entries = await lister.list();
  const changed = changedFlows(parts, entries);
  const pairs = pairEntries(entries).filter((pair) => pair.some(({ flow }) => changed.has(flow)));
  const found: ChangedConnection[] = [];
  for (let first = 0; first < pairs.length; first += walksPerTurn) {
    const some = pairs.slice(first, first + walksPerTurn);
    for (const one of judgeConnections(parts, some)) found.push(one);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return [...found, ...tried(parts)];
}

/** Calls `work` with the rules to come in the pipeline, and takes them out again. */
function withRules<Result>({ slowPath, changes }: ChangeParts, work: () => Result): Result {
  const { pipeline } = slowPath;
  const before = pipeline.policy.policy;
  pipeline.apply(changes);
  try {
    return work();
  } finally {
    pipeline.apply({ removed: changes.added, added: changes.removed, policy: before });
  }
}

/** Flows of the entries that would not stay as they are; 0 for entries that have none. */
function changedFlows(parts: ChangeParts, entries: readonly EntryReport[]): Set<number> {
  const { pipeline, flows } = parts.slowPath;
  const slots = new Set(entries.map(({ flow }) => flow));
  const walk = new Translation();
  return withRules(parts, () => {
    for (const slot of slots) {
      if (slot === 0 || !flows.isLinked(slot)) continue;
      translate(pipeline, flows.memory.slots, flows.keyAt(slot), walk);
      if (flows.agrees(slot, walk)) slots.delete(slot);
    }
    return slots;
  });
}

interface Fate {
  readonly passes: boolean;
  readonly rule: string;
  readonly origin: string;
  readonly path: string;
  readonly drop: string;
}

function fateOf({ slowPath }: ChangeParts, key: Uint32Array, walk: Translation): Fate {
  translate(slowPath.pipeline, key, 0, walk);
  const last = walk.rules.findLast((rule) => rule !== undefined);
  const passes = walk.dropReason === 0;
  const { 'egress-policy': egress, 'ingress-policy': ingress } = stageIndex;
  const firewall = walk.rules[ingress] ?? walk.rules[egress];
  const missed = !passes && (last === undefined || !denies(last));
  const rule: Rule | undefined = passes ? (firewall ?? last) : missed ? undefined : last;
  return {
    passes,
    rule: rule?.id ?? slowPath.drops.decisions.text(walk.decision).rule,
    origin: rule?.origin.object ?? '',
    path: rule?.origin.path ?? '',
    drop: passes ? '' : dropReasonName(walk.dropReason),
  };
}

function judgeConnections(parts: ChangeParts, pairs: readonly EntryPair[]): ChangedConnection[] {
  const walk = new Translation();
  const fates = (keys: readonly Uint32Array[]) => keys.map((key) => fateOf(parts, key, walk));
  const before = pairs.map((pair) => fates(pair.map(({ key }) => key)));
  const after = withRules(parts, () => {
    return pairs.map((pair) => ({
      plain: fates(pair.map(({ key }) => key)),
      kept: fates(pair.map(({ key }) => keptKey(key))),
    }));
  });
  return pairs.flatMap((pair, index) => {
    const { plain, kept } = after[index]!;
    const passed = before[index]!.every(({ passes }) => passes);
    const stopped = plain.find(({ passes }) => !passes);
    if (passed === (stopped === undefined)) return [];
    const { passes: _passes, ...fate } = stopped ?? plain[0]!;
    const canStay = passed && pair[0].connection !== 0 && kept.every(({ passes }) => passes);
    const change = passed ? ('cut' as const) : ('let through' as const);
    const connection = connectionView(pair, parts.names);
    return [{ change, connection, ...fate, canStay, entries: pair }];
  });
}

function keptKey(key: Uint32Array): Uint32Array {
  const kept = key.slice();
  const state = getNumber(kept, 0, field.ct_state);
  setNumber(kept, 0, field.ct_state, state | ctState.kept);
  return kept;
}

/** What was dropped lately, and would pass. */
function tried(parts: ChangeParts): ChangedConnection[] {
  const now = Date.now();
  const samples = parts.slowPath.drops.samples().filter(({ timeMs }) => now - timeMs < triedMs);
  const walk = new Translation();
  const denied = samples.filter(({ key }) => !fateOf(parts, key, walk).passes);
  const after = withRules(parts, () => denied.map(({ key }) => fateOf(parts, key, walk)));
  return denied.flatMap((sample, index) => {
    const { passes, ...fate } = after[index]!;
    const connection = triedView(sample, parts.names);
    const change = 'let through' as const;
    return passes ? [{ change, connection, ...fate, canStay: false, entries: [] }] : [];
  });
}

function triedView({ key, originalBytes, timeMs, flow }: DropSample, names: Names) {
  const idleMs = Math.max(0, Date.now() - timeMs);
  const report: EntryReport = {
    worker: 0,
    key,
    packets: 1,
    bytes: originalBytes,
    flow,
    generation: 0,
    decision: 0,
    connection: 0,
    connectionGeneration: 0,
    state: 0,
    ageMs: idleMs,
    idleMs,
  };
  return connectionView([report], names);
}
