// control/switch-api.ts — what the control API asks of the switch, as plain data.
//
// The HTTP routes know only this interface, and switch.ts implements it; a fake of it serves the
// unit tests of the routes and of the command line. Numbers are numbers, times are milliseconds of
// the Unix epoch unless said otherwise, bytes exclude the FCS, addresses are canonical text. Every
// method may throw a SwitchError.

import type { ObjectChange } from '../model/diff.ts';
import type { DocumentKind } from '../model/document.ts';

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
}

export interface DropView {
  readonly reason: string;
  readonly help: string;
  readonly packets: number;
  /** By port name; "(none)" for packets of our own. */
  readonly ports: readonly { port: string; packets: number }[];
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
  apply(text: string, file: string): Promise<ApplyResult>;
  /** What apply would change. */
  diff(text: string, file: string): readonly ObjectChange[];
  /** One kind, or one object of it; throws ERR_NOT_FOUND. */
  objects(kind: DocumentKind, name?: string): readonly ObjectStatus[];
  flows(): readonly FlowView[];
  trace(request: TraceRequest): TraceResult;
  drops(): readonly DropView[];
  top(): TopView;
  /** pcapng, in pieces, until the request's end or until the consumer stops iterating. */
  capture(request: CaptureRequest): AsyncIterable<Uint8Array>;
  /** Events from now on, until the consumer stops iterating. */
  watch(): AsyncIterable<WatchEvent>;
}
