// switch/flow-records.ts — what the flow log says of one direction of a connection, or of a denial.
//
// Allowed traffic is told of by its exact entries: when they go, and now and then while they live.
// Denied traffic has no entries; what a flow that drops has counted is told of when the flow goes,
// with the ends of a packet that it dropped where one was shown, since the flow itself looks at few
// bits. Rules are those that decided; where rules have changed since, the name of the decision.

import type { EntryReport } from '../datapath/events.ts';
import { dropReasonName } from '../flow/drop-reasons.ts';
import { ctState, ethType, field, flowKeyWords, getBytes, getNumber } from '../flow/key.ts';
import { formatIp, formatMac } from '../lib/addresses.ts';
import { stageIndex } from '../pipeline/stages.ts';
import { type Translation, translate } from '../pipeline/translate.ts';
import type { DecisionText } from '../slowpath/decisions.ts';
import { monotonicMs, type SlowPath } from '../slowpath/slow-path.ts';
import type { Names } from './names.ts';

/** ended: no packet for long, it was closed, or rules changed. active: it goes on. */
export type FlowState = 'ended' | 'active';

/** One line of the flow log. */
export interface FlowRecord {
  /** Milliseconds of the Unix epoch: the first packet, and the last one that is known of. */
  readonly startMs: number;
  readonly endMs: number;
  readonly packets: number;
  readonly bytes: number;
  readonly verdict: 'allowed' | 'denied';
  /** Drop reason; empty: allowed. */
  readonly reason: string;
  /** Rule that decided, its object in the document and its place there. */
  readonly rule: string;
  readonly origin: string;
  readonly path: string;
  /** Of the document in force when the record was written. */
  readonly revision: number;
  /** Port that it came in by, and VNI of the tunnel packets; 0: from no tunnel. */
  readonly port: string;
  readonly portNumber: number;
  readonly vni: number;
  /** 4, 6, or 0: not IP. */
  readonly family: 4 | 6 | 0;
  /** IP protocol, or EtherType where family is 0. */
  readonly protocol: number;
  /** Addresses as text; MACs where family is 0. */
  readonly source: string;
  readonly destination: string;
  /** Ports; type and code of ICMP. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** It answers: the other direction began. */
  readonly reply: boolean;
  readonly state: FlowState;
}

export interface RecordParts {
  readonly slowPath: SlowPath;
  readonly names: Names;
  readonly revision: number;
  readonly walk: Translation;
}

/** A record of an exact entry; `atMs` is when its report was made. */
export function recordOfEntry(
  parts: RecordParts,
  report: EntryReport,
  atMs: number,
  state: FlowState,
): FlowRecord {
  const { slowPath, walk } = parts;
  const { key, packets, bytes, ageMs, idleMs, decision } = report;
  const decided = slowPath.drops.decisions.text(decision);
  translate(slowPath.pipeline, key, 0, walk);
  const same = walk.decision === decision;
  const { 'egress-policy': egress, 'ingress-policy': ingress } = stageIndex;
  const firewall = same ? (walk.rules[ingress] ?? walk.rules[egress]) : undefined;
  const by: DecisionText =
    firewall === undefined
      ? decided
      : { rule: firewall.id, origin: firewall.origin.object, path: firewall.origin.path };
  const denied = same && walk.dropReason !== 0;
  return {
    startMs: atMs - ageMs,
    endMs: atMs - Math.min(idleMs, ageMs),
    packets,
    bytes,
    verdict: denied ? 'denied' : 'allowed',
    reason: denied ? dropReasonName(walk.dropReason) : '',
    ...by,
    revision: parts.revision,
    ...endsOf(key, parts.names),
    state,
  };
}

/** A record of a flow that drops, in its slot; undefined: it forwards, or counted nothing. */
export function recordOfDenial(parts: RecordParts, slot: number): FlowRecord | undefined {
  const { flows, drops } = parts.slowPath;
  const reason = drops.reasonAt(slot);
  const { packets, bytes } = flows.memory.carried(slot);
  if (reason === 0 || packets === 0) return undefined;
  const at = flows.keyAt(slot);
  const masked = flows.memory.slots.slice(at, at + flowKeyWords);
  const sample = drops.sampleOf(slot);
  const toWall = Date.now() - monotonicMs();
  return {
    startMs: flows.createdMs(slot) + toWall,
    endMs: flows.usedMs(slot) + toWall,
    packets,
    bytes,
    verdict: 'denied',
    reason: dropReasonName(reason),
    ...drops.decisions.text(flows.decision(slot)),
    revision: flows.revisionOf(slot),
    ...endsOf(sample?.key ?? masked, parts.names),
    state: 'ended',
  };
}

type Ends = Pick<
  FlowRecord,
  | 'port'
  | 'portNumber'
  | 'vni'
  | 'family'
  | 'protocol'
  | 'source'
  | 'destination'
  | 'sourcePort'
  | 'destinationPort'
  | 'reply'
>;

function endsOf(key: Uint32Array, names: Names): Ends {
  const number = (entry: (typeof field)['in_port']) => getNumber(key, 0, entry);
  const type = number(field.eth_type);
  const family = type === ethType.ipv4 ? 4 : type === ethType.ipv6 ? 6 : 0;
  const address = (four: (typeof field)['ip_src'], six: (typeof field)['ipv6_src']) =>
    formatIp(getBytes(key, 0, family === 4 ? four : six));
  const portNumber = number(field.in_port);
  return {
    port: names.portName(portNumber) ?? `${portNumber}`,
    portNumber,
    vni: number(field.tunnel_id),
    family,
    protocol: family === 0 ? type : number(field.ip_proto),
    source:
      family === 0
        ? formatMac(getBytes(key, 0, field.eth_src))
        : address(field.ip_src, field.ipv6_src),
    destination:
      family === 0
        ? formatMac(getBytes(key, 0, field.eth_dst))
        : address(field.ip_dst, field.ipv6_dst),
    sourcePort: number(field.tp_src),
    destinationPort: number(field.tp_dst),
    reply: (number(field.ct_state) & ctState.rpl) !== 0,
  };
}
