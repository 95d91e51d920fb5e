// switch/flow-records.ts — what the flow log says of one direction of a connection, or of a denial.
//
// Allowed traffic is told of by its exact entries: when they end, and now and then while they live,
// each packet once.
// Denied traffic has no entries; what a flow that drops has counted is told of when the flow goes,
// with the ends of a packet that it dropped where one was shown, since the flow itself looks at few
// bits. Rules are those that decided; where rules have changed since, the name of the decision.

import type { EntryEvent, FlowEnd } from '../datapath/events.ts';
import { dropReasonName } from '../flow/drop-reasons.ts';
import { ctState, ethType, field, flowKeyWords, getBytes, getNumber } from '../flow/key.ts';
import { formatIp, formatMac } from '../lib/addresses.ts';
import { stageIndex } from '../pipeline/stages.ts';
import { type Translation, translate } from '../pipeline/translate.ts';
import type { DecisionText } from '../slowpath/decisions.ts';
import { monotonicMs, type SlowPath } from '../slowpath/slow-path.ts';
import type { Names } from './names.ts';

/** One line of the flow log. */
export interface FlowRecord {
  /** Milliseconds of the Unix epoch: the first packet, and the last one that is known of. */
  readonly startMs: number;
  readonly endMs: number;
  /** Since the record before: those of a connection add up to all that it carried. */
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
  /**
   * Why it is told of. idle: no packet for long. active: it goes on, and was not told of for long.
   * end: TCP has ended it. forced: rules changed, or it was ended. evicted: there was no room.
   */
  readonly endReason: FlowEnd;
}

export interface RecordParts {
  readonly slowPath: SlowPath;
  readonly names: Names;
  readonly revision: number;
  readonly walk: Translation;
}

/** A record of what an exact entry has carried; undefined: denials, of which their flow tells. */
export function recordOfEntry(parts: RecordParts, event: EntryEvent): FlowRecord | undefined {
  const { slowPath, walk } = parts;
  const { key, packets, bytes, ageMs, idleMs, decision } = event.report;
  const atMs = Number(event.timeNs / 1_000_000n);
  const decided = slowPath.drops.decisions.text(decision);
  translate(slowPath.pipeline, key, 0, walk);
  const same = walk.decision === decision;
  const { 'egress-policy': egress, 'ingress-policy': ingress } = stageIndex;
  const firewall = same ? (walk.rules[ingress] ?? walk.rules[egress]) : undefined;
  const by: DecisionText =
    firewall === undefined
      ? decided
      : { rule: firewall.id, origin: firewall.origin.object, path: firewall.origin.path };
  if (same && walk.dropReason !== 0) return undefined;
  return {
    startMs: atMs - ageMs,
    endMs: atMs - Math.min(idleMs, ageMs),
    packets,
    bytes,
    verdict: 'allowed',
    reason: '',
    ...by,
    revision: parts.revision,
    ...endsOf(key, parts.names),
    endReason: event.why,
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
    endReason: 'idle',
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
