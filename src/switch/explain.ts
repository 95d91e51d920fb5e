// switch/explain.ts — why real packets fare as they do: `vtepctl why`.
//
// Three things are known of packets that have passed: exact entries (a direction of a connection
// each), megaflows, and dropped packets that workers showed. Each is walked through the pipeline of
// today by the code of `vtepctl trace`, and held against what is in force for it.

import type { TraceResult, WhyPacket } from '../control/switch-api.ts';
import type { EntryReport } from '../datapath/events.ts';
import { dropReasonTexts } from '../flow/drop-reasons.ts';
import { looksLikeFiveTuple, parseFiveTuple } from '../flow/five-tuple.ts';
import { field, flowKeyWords, getBytes, isZero } from '../flow/key.ts';
import { formatKey, type Match } from '../flow/key-text.ts';
import { formatMac } from '../lib/addresses.ts';
import { SwitchError } from '../lib/errors.ts';
import { traceKey } from '../pipeline/trace.ts';
import { Translation, translate } from '../pipeline/translate.ts';
import type { DropSample } from '../slowpath/drop-ledger.ts';
import { monotonicMs, type SlowPath } from '../slowpath/slow-path.ts';
import { stateName } from './connections.ts';
import type { EntryLister } from './entry-lister.ts';
import type { Names } from './names.ts';

/** Packets of one answer. */
const shownMax = 8;

export interface ExplainParts {
  readonly slowPath: SlowPath;
  readonly lister: Pick<EntryLister, 'list'>;
  readonly names: Names;
  readonly revision: number;
  /** MACs of a port of the document, by its name. */
  readonly macsOf: (port: string) => readonly string[];
}

/**
 * Explains what `about` names.
 * @throws SwitchError ERR_ARGUMENT_INVALID, ERR_NOT_FOUND, ERR_PORT_NOT_FOUND
 */
export async function explain(parts: ExplainParts, about: string): Promise<WhyPacket[]> {
  const text = about.trim();
  const port = /^last-drop(?:\s+(.*))?$/.exec(text);
  if (port !== null) return [lastDrop(parts, (port[1] ?? '').trim())];
  if (/^\d+$/.test(text)) return [oneFlow(parts, Number(text))];
  if (looksLikeFiveTuple(text)) return connection(parts, text);
  throw new SwitchError('ERR_ARGUMENT_INVALID', `"${text}" names no packet`, {
    remedy:
      'Name a connection ("tcp 10.0.0.1:40000 10.0.0.2:80"), the id of a flow of ' +
      '"vtepctl flows", or "last-drop PORT".',
  });
}

// ---- a dropped packet -------------------------------------------------------------------------

function lastDrop(parts: ExplainParts, port: string): WhyPacket {
  const { names, slowPath } = parts;
  if (port === '') {
    throw new SwitchError('ERR_ARGUMENT_INVALID', 'last-drop names no port', {
      remedy: 'Name it: "vtepctl why last-drop web1".',
    });
  }
  const number = names.portNumber(port);
  const macs = parts.macsOf(port);
  if (number === undefined && macs.length === 0) {
    throw new SwitchError('ERR_PORT_NOT_FOUND', `there is no port or device ${port} here`);
  }
  // It sent the packet, or would have received it: by its MAC, or by its rules when it was routed.
  const sample = slowPath.drops.samples().find(({ port: from, key, path }) => {
    if (from === number || path.startsWith(`ports[${port}].`)) return true;
    return macs.includes(formatMac(getBytes(key, 0, field.eth_dst)));
  });
  if (sample !== undefined) return whyDropped(parts, sample);
  throw new SwitchError('ERR_NOT_FOUND', `no dropped packet of port ${port} is known`, {
    remedy: 'Send one and ask again, or ask "vtepctl trace" about a packet that you imagine.',
  });
}

function whyDropped(parts: ExplainParts, sample: DropSample): WhyPacket {
  const { slowPath } = parts;
  const { reason, rule, origin, path, flow, timeMs, packet } = sample;
  const text = dropReasonTexts[reason];
  const counted = slowPath.drops.counts().find(({ recent }) => recent === sample);
  const trace = traceOf(parts, sample.key);
  return {
    source: 'drop',
    packets: counted?.packets ?? 0,
    bytes: sample.originalBytes,
    ageSeconds: null,
    idleSeconds: Math.max(0, Date.now() - timeMs) / 1000,
    state: '',
    flow,
    decidedRevision: flow === 0 ? 0 : slowPath.flows.revisionOf(flow),
    decidedBy: rule,
    origin,
    path,
    drop: text?.name ?? `reason_${reason}`,
    dropHelp: text?.help ?? '',
    timeMs,
    packet: Buffer.from(packet).toString('base64'),
    trace,
    agrees: trace.drop === text?.name,
  };
}

// ---- a flow -----------------------------------------------------------------------------------

function oneFlow(parts: ExplainParts, slot: number): WhyPacket {
  const { flows } = parts.slowPath;
  if (slot > 0 && slot <= flows.highest && flows.isLinked(slot)) return whyFlow(parts, slot);
  throw new SwitchError('ERR_NOT_FOUND', `there is no flow ${slot}`, {
    remedy: 'It may have ended; "vtepctl flows" lists the flows that there are.',
  });
}

function whyFlow(parts: ExplainParts, slot: number): WhyPacket {
  const { flows } = parts.slowPath;
  const now = monotonicMs();
  const at = flows.keyAt(slot);
  const key = flows.memory.slots.slice(at, at + flowKeyWords);
  return {
    source: 'flow',
    ...flows.memory.carried(slot),
    ageSeconds: Math.max(0, now - flows.createdMs(slot)) / 1000,
    idleSeconds: Math.max(0, now - flows.usedMs(slot)) / 1000,
    state: '',
    ...decidedBy(parts, slot, key),
    timeMs: null,
    packet: '',
  };
}

type Decided = Pick<
  WhyPacket,
  | 'flow'
  | 'decidedRevision'
  | 'decidedBy'
  | 'origin'
  | 'path'
  | 'drop'
  | 'dropHelp'
  | 'trace'
  | 'agrees'
>;

/** What the flow in `slot` does to packets with this key, and whether it should. */
function decidedBy(parts: ExplainParts, slot: number, key: Uint32Array): Decided {
  const { flows, drops, pipeline } = parts.slowPath;
  const { rule, origin, path } = drops.decisions.text(flows.decision(slot));
  const walk = new Translation();
  translate(pipeline, key, 0, walk);
  const reason = dropReasonTexts[drops.reasonAt(slot)];
  const dropped = reason !== undefined && reason.number !== 0;
  return {
    flow: slot,
    decidedRevision: flows.revisionOf(slot),
    decidedBy: rule,
    origin,
    path,
    drop: dropped ? reason.name : '',
    dropHelp: dropped ? reason.help : '',
    trace: traceOf(parts, key),
    agrees: flows.doesSame(slot, walk),
  };
}

// ---- a connection -----------------------------------------------------------------------------

async function connection(parts: ExplainParts, text: string): Promise<WhyPacket[]> {
  const { there, back } = parseFiveTuple(text);
  const [forth, replies] = [await parts.lister.list(there), await parts.lister.list(back)];
  const entries = [...forth, ...replies].slice(0, shownMax);
  const found = entries.flatMap((report) => whyEntry(parts, report) ?? []);
  if (found.length > 0) return found;
  const dropped = parts.slowPath.drops
    .samples()
    .filter(({ key }) => agrees(there, key) || agrees(back, key))
    .slice(0, shownMax);
  if (dropped.length > 0) return dropped.map((sample) => whyDropped(parts, sample));
  const flow = flowOf(parts, there);
  if (flow !== 0) return [whyFlow(parts, flow)];
  throw new SwitchError('ERR_NOT_FOUND', `no packet of ${text} is known`, {
    remedy:
      'It sent nothing lately, or not by way of this host. "vtepctl trace" tells what would ' +
      'happen to it.',
  });
}

/** Undefined: its flow has gone just now. */
function whyEntry(parts: ExplainParts, report: EntryReport): WhyPacket | undefined {
  const { flows } = parts.slowPath;
  const { flow, generation, packets, bytes, ageMs, idleMs, state } = report;
  if (!flows.isCurrent(flow, generation)) return undefined;
  return {
    source: 'connection',
    packets,
    bytes,
    ageSeconds: ageMs / 1000,
    idleSeconds: idleMs / 1000,
    state: stateName(state),
    ...decidedBy(parts, flow, report.key),
    timeMs: null,
    packet: '',
  };
}

/** A flow that stands for packets of the match, one that looks at most of it first; 0: none. */
function flowOf({ slowPath: { flows } }: ExplainParts, { key, mask }: Match): number {
  const { slots } = flows.memory;
  let [best, most] = [0, 0];
  for (let slot = 1; slot <= flows.highest; slot += 1) {
    if (!flows.isLinked(slot)) continue;
    const [at, maskAt] = [flows.keyAt(slot), flows.maskAt(slot)];
    let [different, looked] = [0, 0];
    for (let index = 0; index < flowKeyWords; index += 1) {
      const both = mask[index]! & slots[maskAt + index]!;
      different |= (slots[at + index]! ^ key[index]!) & both;
      if (both !== 0) looked += 1;
    }
    const addresses = isZero(slots, maskAt, field.ip_src) && isZero(slots, maskAt, field.ipv6_src);
    if (different !== 0 || looked <= most || addresses) continue;
    [best, most] = [slot, looked];
  }
  return best;
}

function agrees({ key, mask }: Match, of: Uint32Array): boolean {
  return key.every((word, index) => ((word ^ of[index]!) & mask[index]!) === 0);
}

// ---- the way by the rules of today ------------------------------------------------------------

/** A trace as the control API shows it. */
export function traceOf(
  { slowPath, names, revision }: Pick<ExplainParts, 'slowPath' | 'names' | 'revision'>,
  key: Uint32Array,
  text: string = formatKey(key, 0, names),
): TraceResult {
  const { steps, learn: _learn, ...rest } = traceKey(slowPath.pipeline, key, 0, names);
  const shown = steps.map(({ mask: _mask, ...step }) => step);
  return { key: text, steps: shown, revision, ...rest };
}
