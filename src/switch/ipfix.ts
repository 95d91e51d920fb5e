// switch/ipfix.ts — flow records as IPFIX messages (RFC 7011): bytes only, sent by flow-log.ts.
//
// Two templates, for IPv4 and IPv6; what is no IP is left out. Templates are sent with the first
// message and again every now and then, since UDP may lose them (RFC 7011, 8.1). Elements are those
// of IANA's registry; the rule is told as selectorName, the device port as interfaceName.

import { parseIp } from '../lib/addresses.ts';
import type { FlowRecord } from './flow-records.ts';

/** Bytes of one message at most: fits an MTU of 1500 with room for tunnels. */
export const ipfixBytesMax = 1400;
const version = 10;
const headerBytes = 16;
const setHeaderBytes = 4;
const templateSet = 2;
const templateIds = { 4: 256, 6: 257 } as const;
const variable = 0xffff;
/** Longest text that has a length of one byte. */
const textBytesMax = 254;

/** Element id and length, in the order of a record. */
const common = [
  [152, 8], // flowStartMilliseconds
  [153, 8], // flowEndMilliseconds
  [2, 8], // packetDeltaCount: since the record before
  [1, 8], // octetDeltaCount
  [10, 4], // ingressInterface
  [351, 8], // layer2SegmentId
  [7, 2], // sourceTransportPort
  [11, 2], // destinationTransportPort
  [4, 1], // protocolIdentifier
  [136, 1], // flowEndReason
  [233, 1], // firewallEvent
  [89, 1], // forwardingStatus
  [82, variable], // interfaceName
  [335, variable], // selectorName
] as const;
const addresses = {
  4: [
    [8, 4],
    [12, 4],
  ],
  6: [
    [27, 16],
    [28, 16],
  ],
} as const;

/** flowEndReason of RFC 5102, 5.11.3. */
const endReasons = { idle: 1, active: 2, end: 3, forced: 4, evicted: 5 } as const;
/** firewallEvent: flow deleted, denied, updated. */
const events = { deleted: 2, denied: 3, updated: 5 } as const;
/** forwardingStatus of RFC 7270: forwarded; dropped by an ACL; dropped. */
const forwarded = 64;
const droppedByAcl = 129;
const dropped = 128;
/** layer2SegmentId: the type of the segment, VXLAN, in its first byte. */
const segmentVxlan = 1n << 56n;

export interface IpfixOptions {
  /** Observation domain: which exporter this is to the collector. */
  readonly domain: number;
}

/** Packs records into messages; one per exporting process, since it counts records. */
export class IpfixEncoder {
  readonly #options: IpfixOptions;
  #sequence = 0;

  constructor(options: IpfixOptions) {
    this.#options = options;
  }

  /** Messages with all records that are IP; the first one with the templates if so wanted. */
  messages(records: readonly FlowRecord[], withTemplates: boolean, nowMs: number): Buffer[] {
    const made: Buffer[] = [];
    let sets = withTemplates ? [templates()] : [];
    let count = 0;
    let room = ipfixBytesMax - headerBytes - lengthOf(sets);
    const flush = () => {
      if (sets.length > 0) made.push(this.#message(sets, count, nowMs));
      sets = [];
      count = 0;
      room = ipfixBytesMax - headerBytes;
    };
    for (const family of [4, 6] as const) {
      let rows: Buffer[] = [];
      const close = () => {
        if (rows.length > 0) sets.push(set(templateIds[family], rows));
        rows = [];
      };
      for (const record of records) {
        if (record.family !== family) continue;
        const row = rowOf(record, family);
        const needed = row.length + (rows.length === 0 ? setHeaderBytes : 0);
        if (needed > room) {
          close();
          flush();
        }
        room -= row.length + (rows.length === 0 ? setHeaderBytes : 0);
        rows.push(row);
        count += 1;
      }
      close();
    }
    flush();
    return made;
  }

  /** The sequence number counts data records sent before this message. */
  #message(sets: readonly Buffer[], count: number, nowMs: number): Buffer {
    const header = Buffer.alloc(headerBytes);
    header.writeUInt16BE(version, 0);
    header.writeUInt16BE(headerBytes + lengthOf(sets), 2);
    header.writeUInt32BE(Math.floor(nowMs / 1000) >>> 0, 4);
    header.writeUInt32BE(this.#sequence, 8);
    header.writeUInt32BE(this.#options.domain, 12);
    this.#sequence = (this.#sequence + count) >>> 0;
    return Buffer.concat([header, ...sets]);
  }
}

function lengthOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

function set(id: number, rows: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(setHeaderBytes);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(setHeaderBytes + lengthOf(rows), 2);
  return Buffer.concat([header, ...rows]);
}

function templates(): Buffer {
  const rows = ([4, 6] as const).map((family) => {
    const elements = [...addresses[family], ...common];
    const row = Buffer.alloc(4 + 4 * elements.length);
    row.writeUInt16BE(templateIds[family], 0);
    row.writeUInt16BE(elements.length, 2);
    for (const [index, [id, length]] of elements.entries()) {
      row.writeUInt16BE(id, 4 + 4 * index);
      row.writeUInt16BE(length, 6 + 4 * index);
    }
    return row;
  });
  return set(templateSet, rows);
}

function rowOf(record: FlowRecord, family: 4 | 6): Buffer {
  const fixed = Buffer.alloc(common.reduce((sum, [, bytes]) => sum + (bytes % variable), 0));
  const denied = record.verdict === 'denied';
  let at = fixed.writeBigUInt64BE(wide(record.startMs), 0);
  at = fixed.writeBigUInt64BE(wide(record.endMs), at);
  at = fixed.writeBigUInt64BE(wide(record.packets), at);
  at = fixed.writeBigUInt64BE(wide(record.bytes), at);
  at = fixed.writeUInt32BE(record.portNumber, at);
  at = fixed.writeBigUInt64BE(record.vni === 0 ? 0n : segmentVxlan | wide(record.vni), at);
  at = fixed.writeUInt16BE(record.sourcePort, at);
  at = fixed.writeUInt16BE(record.destinationPort, at);
  at = fixed.writeUInt8(record.protocol, at);
  at = fixed.writeUInt8(endReasons[record.endReason], at);
  const event = record.endReason === 'active' ? events.updated : events.deleted;
  at = fixed.writeUInt8(denied ? events.denied : event, at);
  fixed.writeUInt8(denied ? statusOf(record.reason) : forwarded, at);
  const ends = [record.source, record.destination].map((text) => addressOf(text, family));
  return Buffer.concat([...ends, fixed, textOf(record.port), textOf(record.rule)]);
}

function statusOf(reason: string): number {
  return reason.startsWith('acl_') ? droppedByAcl : dropped;
}

function addressOf(text: string, family: 4 | 6): Uint8Array {
  const bytes = parseIp(text);
  return bytes.length === (family === 4 ? 4 : 16) ? bytes : new Uint8Array(family === 4 ? 4 : 16);
}

function wide(value: number): bigint {
  return BigInt(Math.max(0, Math.round(value)));
}

/** Text behind its length, cut at a character where it is too long. */
function textOf(text: string): Buffer {
  let bytes = Buffer.from(text);
  for (let end = text.length; bytes.length > textBytesMax; end -= 1) {
    bytes = Buffer.from(text.slice(0, Math.min(end, textBytesMax)));
  }
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}
