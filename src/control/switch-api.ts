// control/switch-api.ts — what the control API asks of the switch, as plain data.
//
// The HTTP routes know only this interface, and switch.ts implements it; a fake of it serves the
// unit tests of the routes and of the command line. Numbers are numbers, times are milliseconds of
// the Unix epoch unless said otherwise, bytes exclude the FCS, addresses are canonical text. Every
// method may throw a SwitchError.

import type { ObjectChange } from '../model/diff.ts';
import type { DocumentKind } from '../model/document.ts';
import type { ExistingMode } from './kinds.ts';

/** How an object of the document fares on this host. */
export interface ObjectStatus {
  readonly kind: DocumentKind;
  readonly name: string;
  /**
   * active: in force. partial: in force but for `why`. waiting: not now, retried. elsewhere:
   * another host's.
   */
  readonly state: 'active' | 'partial' | 'waiting' | 'elsewhere';
  /** What is not in force and why, one sentence; empty when active or elsewhere. */
  readonly why: string;
  /** The object as in the document. */
  readonly spec: Readonly<Record<string, unknown>>;
  /**
   * Facts found here: a port's number, mode, device state, counters; a host's tunnel, next hop,
   * MTU.
   */
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface ApplyResult {
  readonly revision: number;
  /** Hash of the document in canonical form. */
  readonly hash: string;
  readonly changes: readonly ObjectChange[];
  /** Objects that are accepted but not, or not wholly, in force on this host. */
  readonly notInForce: readonly { kind: DocumentKind; name: string; why: string }[];
  /** Milliseconds from the request to everything installed. */
  readonly tookMs: number;
  /** Live connections that go on although the document denies them now: `existing`. */
  readonly kept: number;
}

export interface DatapathStatus {
  readonly state: 'attached' | 'starting' | 'gone';
  readonly pid: number;
  readonly workers: number;
  readonly sinceMs: number;
  /** Times that the datapath was found dead and started again. */
  readonly restarts: number;
  /**
   * Milliseconds that the last recovery took, from its death noticed to everything reprogrammed.
   */
  readonly lastRecoveryMs: number | null;
  /** What became of the flows that were found at the take-over; null: none was looked for. */
  readonly reconciled: ReconciledFlows | null;
}

export interface ReconciledFlows {
  readonly kept: number;
  readonly replaced: number;
  readonly removed: number;
  /** Idle for too long, whatever the rules say of them. */
  readonly expired: number;
}

export interface SwitchStatus {
  readonly version: string;
  readonly host: string;
  readonly pid: number;
  readonly startedMs: number;
  readonly revision: number;
  readonly hash: string;
  readonly datapath: DatapathStatus;
  readonly counts: {
    readonly ports: number;
    readonly tunnels: number;
    readonly networks: number;
    readonly rules: number;
    readonly flows: number;
    readonly learned: number;
  };
  /** Live exact entries that were held against the rules, and those that were wrong: bugs. */
  readonly audit: { readonly audited: number; readonly mismatches: number };
  /** Records of the flow log, and those that were lost; null: there is none. */
  readonly flowLog: { readonly written: number; readonly lost: number } | null;
  /**
   * Sentences that an operator should read: missing devices, unresolved tunnels, unwritable state,
   * ...
   */
  readonly warnings: readonly string[];
}

export interface FlowView {
  /** Slot number in the flow store. */
  readonly id: number;
  /** Text as `vtepctl trace` reads it: masked fields only. */
  readonly match: string;
  readonly actions: string;
  readonly packets: number;
  readonly bytes: number;
  /** Seconds since the last packet; null: none yet. */
  readonly idleSeconds: number | null;
  readonly ageSeconds: number;
  /** Names of the rules that made it, stage by stage. */
  readonly decision: readonly string[];
}

export interface TraceRequest {
  /** `in_port=c1,eth_dst=…,ip_dst=…`: names or numbers of ports; fields as in `vtepctl flows`. */
  readonly key: string;
}

export interface TraceStep {
  readonly stage: string;
  readonly rule: string;
  /** Where the rule comes from: object of the document, and place there; empty: nowhere. */
  readonly origin: string;
  readonly path: string;
  readonly detail: string;
}

/** Of a packet that is denied: the rule that came nearest to letting it pass. */
export interface NearestRule {
  readonly rule: string;
  readonly origin: string;
  readonly path: string;
  /** What it matches. */
  readonly match: string;
  /** What of the packet it does not match; or what comes before it. */
  readonly differs: readonly string[];
}

export interface TraceResult {
  readonly key: string;
  readonly steps: readonly TraceStep[];
  /** Of the document that the rules come from. */
  readonly revision: number;
  /** Fields that the verdict depends on. */
  readonly megaflow: string;
  readonly actions: string;
  /** Empty: forwarded. */
  readonly drop: string;
  readonly dropHelp: string;
  /** null: the packet passes, or no rule is near. */
  readonly nearest: NearestRule | null;
}

export interface WhyRequest {
  /** A five-tuple ("tcp 10.0.0.1:40000 10.0.0.2:80"), the id of a flow, or "last-drop PORT". */
  readonly about: string;
}

/** A real packet, or real packets that one verdict stands for, and why they fare as they do. */
export interface WhyPacket {
  /** connection: an exact entry. flow: a megaflow. drop: a dropped packet. */
  readonly source: 'connection' | 'flow' | 'drop';
  /** Counted so far; for a drop, those that its rule dropped for this reason at this port. */
  readonly packets: number;
  readonly bytes: number;
  /** Seconds since the first packet and since the last one; null: not known. */
  readonly ageSeconds: number | null;
  readonly idleSeconds: number | null;
  /** State of the connection; empty: it has none. */
  readonly state: string;
  /** Id of the flow that decides; 0: it is gone, or there was none. */
  readonly flow: number;
  /** Revision of the document that the verdict was made or confirmed under; 0: not known. */
  readonly decidedRevision: number;
  /** Rule that settled the verdict in force, its object and place; empty: not known any more. */
  readonly decidedBy: string;
  readonly origin: string;
  readonly path: string;
  /** Why it was dropped, and what that means; empty: it is forwarded. */
  readonly drop: string;
  readonly dropHelp: string;
  /** Of a drop: when, and the packet's bytes in base64 (cut); empty: not kept. */
  readonly timeMs: number | null;
  readonly packet: string;
  /** Its way by the rules of today, stage by stage. */
  readonly trace: TraceResult;
  /** Whether the rules of today say the same. */
  readonly agrees: boolean;
}

export interface WhyResult {
  readonly about: string;
  readonly revision: number;
  readonly packets: readonly WhyPacket[];
}

/** A connection that the exact caches hold. */
export interface ConnectionView {
  readonly protocol: string;
  readonly source: string;
  readonly destination: string;
  /** Where it comes in. */
  readonly port: string;
  /** As connection tracking has it; empty: it is not tracked. */
  readonly state: string;
  /** It goes on although rules of today deny it: see apply's `existing`. */
  readonly kept: boolean;
  readonly packets: number;
  readonly bytes: number;
  /** Of the other direction. */
  readonly replyPackets: number;
  readonly replyBytes: number;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
  /** Ids of the flows that carry it. */
  readonly flows: readonly number[];
}

/** A live connection, or one that is tried in vain, which a document would change. */
export interface ConnectionChange {
  readonly change: 'cut' | 'let through';
  readonly connection: ConnectionView;
  /** Stage and rule that would decide it, its object and place. */
  readonly rule: string;
  readonly origin: string;
  readonly path: string;
  /** Why it would be dropped; empty: it would pass. */
  readonly drop: string;
  /** Whether `existing` may let it go on: it is tracked, and a firewall is what cuts it. */
  readonly canStay: boolean;
}

export interface DiffResult {
  readonly changes: readonly ObjectChange[];
  /** At most a thousand; `connectionCount` tells of all. */
  readonly connections: readonly ConnectionChange[];
  readonly connectionCount: number;
}

export interface ApplyOptions {
  /** What becomes of live connections that the document cuts; reset unless said. */
  readonly existing?: ExistingMode;
  /** Of drain. */
  readonly drainSeconds?: number;
}

export interface DropView {
  readonly reason: string;
  readonly help: string;
  readonly packets: number;
  /** By port name; "(none)" for packets of our own. */
  readonly ports: readonly { port: string; packets: number }[];
  /** By port and rule, as far as rules dropped them; each with a recent packet. */
  readonly rules: readonly DropRule[];
}

export interface DropRule {
  /** "uplink": it came through a tunnel. */
  readonly port: string;
  /** Id of the rule, its object in the document and its place; empty: no rule was needed. */
  readonly rule: string;
  readonly origin: string;
  readonly path: string;
  /** Those that the rule's flows counted; null: no rule dropped them. */
  readonly packets: number | null;
  /** Shown about once a second; null: none was yet. */
  readonly recent: RecentPacket | null;
}

export interface RecentPacket {
  readonly timeMs: number;
  /** In base64, cut to 256 bytes. */
  readonly bytes: string;
  readonly originalBytes: number;
}

export interface PortCounters {
  readonly port: string;
  readonly device: string;
  readonly number: number;
  readonly uplink: boolean;
  /** Names of base/counters.def. */
  readonly counters: Readonly<Record<string, number>>;
}

export interface TopView {
  readonly timeMs: number;
  readonly ports: readonly PortCounters[];
  readonly workers: readonly { worker: number; counters: Readonly<Record<string, number>> }[];
  readonly slowPath: {
    readonly upcalls: number;
    readonly flowsInstalled: number;
    readonly flowsRemoved: number;
    /** Microseconds from the packet's arrival to its verdict, since start. */
    readonly latencyUs: { p50: number; p99: number; max: number };
  };
}

export interface CaptureRequest {
  /** Logical port, device, or "uplink"; absent: all ports. */
  readonly port?: string;
  /** Ends after so many packets. */
  readonly count?: number;
  /** Ends after so many seconds. */
  readonly seconds?: number;
}

export interface WatchEvent {
  readonly timeMs: number;
  readonly kind: 'applied' | 'port' | 'tunnel' | 'datapath' | 'warning' | 'learned';
  readonly name: string;
  readonly message: string;
}

export interface SwitchApi {
  status(): SwitchStatus;
  /** The document in force as canonical text-able data. */
  document(): { revision: number; hash: string; document: unknown };
  /**
   * Validates the text, computes the difference and touches only that; stores it; nothing half-
   * applied.
   */
  apply(text: string, file: string, options?: ApplyOptions): Promise<ApplyResult>;
  /** What apply would change: objects, and live connections. */
  diff(text: string, file: string): Promise<DiffResult>;
  /** One kind, or one object of it; throws ERR_NOT_FOUND. */
  objects(kind: DocumentKind, name?: string): readonly ObjectStatus[];
  flows(): readonly FlowView[];
  trace(request: TraceRequest): TraceResult;
  /** Why real packets fare as they do. */
  why(request: WhyRequest): Promise<WhyResult>;
  connections(): Promise<readonly ConnectionView[]>;
  drops(): readonly DropView[];
  top(): TopView;
  /** pcapng, in pieces, until the request's end or until the consumer stops iterating. */
  capture(request: CaptureRequest): AsyncIterable<Uint8Array>;
  /** Events from now on, until the consumer stops iterating. */
  watch(): AsyncIterable<WatchEvent>;
}
