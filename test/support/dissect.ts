// support/dissect.ts — reads a packet back into layers of named fields, for messages that people
// can read.
//
// Never throws: a packet that ends too early yields a last layer "truncated". Ports 4789 and 6081
// open VXLAN and Geneve. Checksums that are wrong are shown with the right value beside them.

import {
  checksum16,
  concat,
  crc32c,
  ipText,
  macText,
  pseudoHeader,
  sum16,
  toHex,
} from './bytes.ts';
import { ports, tcpFlagLetters } from './layers.ts';

export interface Dissected {
  layer: string;
  /** Offset of the layer's first byte in the packet. */
  at: number;
  fields: Record<string, number | string>;
}

interface Cursor {
  bytes: Uint8Array;
  at: number;
  layers: Dissected[];
  source?: Uint8Array;
  destination?: Uint8Array;
  /** End of the current IP packet, so that Ethernet padding is not payload. */
  end: number;
}

class Truncated extends Error {}

/** Layers from the outermost to the payload. `first` says what the bytes begin with. */
export function dissect(bytes: Uint8Array, first: 'eth' | 'ip' = 'eth'): Dissected[] {
  const cursor: Cursor = { bytes, at: 0, layers: [], end: bytes.length };
  try {
    if (first === 'eth') ethernet(cursor);
    else byEtherType(cursor, bytes[0] >>> 4 === 6 ? 0x86dd : 0x0800);
  } catch (error) {
    if (!(error instanceof Truncated)) throw error;
    push(cursor, 'truncated', 0, { missing: error.message });
  }
  return cursor.layers;
}

/** One line per layer: "ip        src=10.0.0.1 dst=10.0.0.2 ttl=64 …". */
export function describe(bytes: Uint8Array, first: 'eth' | 'ip' = 'eth'): string {
  return dissect(bytes, first)
    .map(({ layer, fields }) => {
      const text = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
      return `  ${layer.padEnd(10)} ${text.join(' ')}`;
    })
    .join('\n');
}

/** What differs, field by field: "udp.dst: 4789, expected 4790". */
export function differences(actual: Uint8Array, expected: Uint8Array): string[] {
  const [left, right] = [flat(actual), flat(expected)];
  const lines: string[] = [];
  for (const name of new Set([...right.keys(), ...left.keys()])) {
    const [got, wanted] = [left.get(name) ?? 'absent', right.get(name) ?? 'absent'];
    if (got !== wanted) lines.push(`${name}: ${got}, expected ${wanted}`);
  }
  return lines;
}

function flat(bytes: Uint8Array): Map<string, number | string> {
  const seen = new Map<string, number>();
  const result = new Map<string, number | string>();
  for (const { layer, fields } of dissect(bytes)) {
    const count = (seen.get(layer) ?? 0) + 1;
    seen.set(layer, count);
    const name = count > 1 ? `${layer}#${count}` : layer;
    for (const [field, value] of Object.entries(fields)) result.set(`${name}.${field}`, value);
  }
  return result;
}

function need(cursor: Cursor, count: number, what: string): DataView {
  const { bytes, at } = cursor;
  if (at + count > bytes.length) throw new Truncated(`${what} needs ${count} bytes at ${at}`);
  return new DataView(bytes.buffer, bytes.byteOffset + at, count);
}

function take(cursor: Cursor, offset: number, count: number): Uint8Array {
  return cursor.bytes.subarray(cursor.at + offset, cursor.at + offset + count);
}

function push(cursor: Cursor, layer: string, length: number, fields: Dissected['fields']) {
  cursor.layers.push({ layer, at: cursor.at, fields });
  cursor.at += length;
}

function hex(value: number, digits = 4) {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** A checksum as read; when it is wrong, with the right one. */
function judged(read: number, right: number) {
  return read === right ? hex(read) : `${hex(read)}(wrong,right:${hex(right)})`;
}

function ethernet(cursor: Cursor) {
  const view = need(cursor, 14, 'eth');
  const fields = { dst: macText(take(cursor, 0, 6)), src: macText(take(cursor, 6, 6)) };
  const type = view.getUint16(12);
  push(cursor, 'eth', 14, { ...fields, type: hex(type) });
  cursor.end = cursor.bytes.length;
  byEtherType(cursor, type);
}

function byEtherType(cursor: Cursor, type: number) {
  if (type === 0x8100 || type === 0x88a8) vlan(cursor);
  else if (type === 0x0800) ipv4(cursor);
  else if (type === 0x86dd) ipv6(cursor);
  else if (type === 0x0806) arp(cursor);
  else if (type === 0x6558) ethernet(cursor);
  else payload(cursor);
}

function payload(cursor: Cursor) {
  const bytes = cursor.bytes.subarray(cursor.at, Math.max(cursor.at, cursor.end));
  if (bytes.length > 0) {
    const shown = toHex(bytes.subarray(0, 32)) + (bytes.length > 32 ? '…' : '');
    push(cursor, 'payload', bytes.length, { bytes: bytes.length, hex: shown });
  }
  const rest = cursor.bytes.length - cursor.at;
  if (rest > 0) push(cursor, 'padding', rest, { bytes: rest });
}

function vlan(cursor: Cursor) {
  const view = need(cursor, 4, 'vlan');
  const tci = view.getUint16(0);
  const type = view.getUint16(2);
  const fields = { id: tci & 0xfff, priority: tci >>> 13, dei: (tci >>> 12) & 1, type: hex(type) };
  push(cursor, 'vlan', 4, fields);
  byEtherType(cursor, type);
}

function arp(cursor: Cursor) {
  const view = need(cursor, 28, 'arp');
  push(cursor, 'arp', 28, {
    op: view.getUint16(6),
    senderMac: macText(take(cursor, 8, 6)),
    senderIp: ipText(take(cursor, 14, 4)),
    targetMac: macText(take(cursor, 18, 6)),
    targetIp: ipText(take(cursor, 24, 4)),
  });
  cursor.end = cursor.at;
  payload(cursor);
}

function ipv4(cursor: Cursor) {
  const view = need(cursor, 20, 'ip');
  const headerBytes = (view.getUint8(0) & 15) * 4;
  need(cursor, Math.max(20, headerBytes), 'ip options');
  const header = take(cursor, 0, headerBytes).slice();
  const checksum = view.getUint16(10);
  header.fill(0, 10, 12);
  const fragment = view.getUint16(6);
  const length = view.getUint16(2);
  const offset = (fragment & 0x1fff) * 8;
  const protocol = view.getUint8(9);
  cursor.source = take(cursor, 12, 4);
  cursor.destination = take(cursor, 16, 4);
  cursor.end = Math.min(cursor.bytes.length, cursor.at + length);
  push(cursor, 'ip', Math.max(20, headerBytes), {
    version: view.getUint8(0) >>> 4,
    src: ipText(cursor.source),
    dst: ipText(cursor.destination),
    protocol,
    ttl: view.getUint8(8),
    tos: hex(view.getUint8(1), 2),
    id: view.getUint16(4),
    df: (fragment >>> 14) & 1,
    mf: (fragment >>> 13) & 1,
    fragmentOffset: offset,
    options: toHex(header.subarray(20)),
    ihl: headerBytes / 4,
    length,
    checksum: judged(checksum, checksum16(header)),
  });
  const whole = offset === 0 && (fragment & 0x2000) === 0;
  if (offset > 0) payload(cursor);
  else byProtocol(cursor, protocol, whole);
}

function ipv6(cursor: Cursor) {
  const view = need(cursor, 40, 'ip6');
  const first = view.getUint32(0);
  const length = view.getUint16(4);
  cursor.source = take(cursor, 8, 16);
  cursor.destination = take(cursor, 24, 16);
  cursor.end = Math.min(cursor.bytes.length, cursor.at + 40 + length);
  push(cursor, 'ip6', 40, {
    version: first >>> 28,
    src: ipText(cursor.source),
    dst: ipText(cursor.destination),
    nextHeader: view.getUint8(6),
    hopLimit: view.getUint8(7),
    trafficClass: hex((first >>> 20) & 0xff, 2),
    flowLabel: hex(first & 0xfffff, 5),
    length,
  });
  extensions(cursor, view.getUint8(6));
}

const extensionNames: Record<number, string> = { 0: 'hopByHop', 43: 'routing', 60: 'destination' };

function extensions(cursor: Cursor, first: number) {
  let next = first;
  let whole = true;
  for (;;) {
    if (next === 44) {
      const view = need(cursor, 8, 'fragment6');
      const offset = view.getUint16(2) & 0xfff8;
      const more = view.getUint8(3) & 1;
      next = view.getUint8(0);
      push(cursor, 'fragment6', 8, { nextHeader: next, offset, more, id: view.getUint32(4) });
      if (offset > 0) return payload(cursor);
      whole = whole && more === 0;
    } else if (next in extensionNames) {
      const length = need(cursor, 2, extensionNames[next]).getUint8(1) * 8 + 8;
      const view = need(cursor, length, extensionNames[next]);
      const name = extensionNames[next];
      if (next === 43 && view.getUint8(3) > 0) cursor.destination = take(cursor, length - 16, 16);
      next = view.getUint8(0);
      push(cursor, name, length, { nextHeader: next, content: toHex(take(cursor, 2, length - 2)) });
    } else {
      return byProtocol(cursor, next, whole);
    }
  }
}

function byProtocol(cursor: Cursor, protocol: number, whole: boolean) {
  if (protocol === 17) udp(cursor, whole);
  else if (protocol === 6) tcp(cursor, whole);
  else if (protocol === 1 || protocol === 58) icmp(cursor, protocol, whole);
  else if (protocol === 132) sctp(cursor, whole);
  else payload(cursor);
}

/**
 * The transport checksum that would be right, or what was read when it cannot be known (a
 * fragment).
 */
function rightChecksum(cursor: Cursor, protocol: number, offset: number, whole: boolean): number {
  const segment = cursor.bytes.slice(cursor.at, cursor.end);
  const read = (segment[offset] << 8) | segment[offset + 1];
  const { source, destination } = cursor;
  if (!whole || !source || !destination) return read;
  segment.fill(0, offset, offset + 2);
  if (protocol === 1) return checksum16(segment);
  const pseudo = pseudoHeader(source, destination, protocol, segment.length);
  const right = checksum16(concat([pseudo, segment]));
  return protocol === 17 && right === 0 ? 0xffff : right;
}

/**
 * True when the bytes with their checksum in place sum to zero; exported for tests of checksums.
 */
export function sumsToZero(bytes: Uint8Array): boolean {
  return sum16(bytes) === 0xffff;
}

function udp(cursor: Cursor, whole: boolean) {
  const view = need(cursor, 8, 'udp');
  const [src, dst] = [view.getUint16(0), view.getUint16(2)];
  const checksum = view.getUint16(6);
  const right = rightChecksum(cursor, 17, 6, whole);
  const told = checksum === 0 ? 'none' : judged(checksum, right);
  push(cursor, 'udp', 8, { src, dst, length: view.getUint16(4), checksum: told });
  if (whole && dst === ports.vxlan) vxlan(cursor);
  else if (whole && dst === ports.geneve) geneve(cursor);
  else payload(cursor);
}

function tcp(cursor: Cursor, whole: boolean) {
  const view = need(cursor, 20, 'tcp');
  const dataOffset = view.getUint8(12) >>> 4;
  const length = Math.max(20, dataOffset * 4);
  need(cursor, length, 'tcp options');
  const bits = view.getUint8(13);
  const right = rightChecksum(cursor, 6, 16, whole);
  push(cursor, 'tcp', length, {
    src: view.getUint16(0),
    dst: view.getUint16(2),
    seq: view.getUint32(4),
    ack: view.getUint32(8),
    flags: [...tcpFlagLetters].filter((_, bit) => bits & (1 << bit)).join(''),
    window: view.getUint16(14),
    options: toHex(take(cursor, 20, length - 20)),
    dataOffset,
    urgent: view.getUint16(18),
    checksum: judged(view.getUint16(16), right),
  });
  payload(cursor);
}

function icmp(cursor: Cursor, protocol: number, whole: boolean) {
  const name = protocol === 1 ? 'icmp' : 'icmp6';
  const view = need(cursor, 8, name);
  const right = rightChecksum(cursor, protocol, 2, whole);
  push(cursor, name, 8, {
    type: view.getUint8(0),
    code: view.getUint8(1),
    rest: hex(view.getUint32(4), 8),
    checksum: judged(view.getUint16(2), right),
  });
  payload(cursor);
}

function sctp(cursor: Cursor, whole: boolean) {
  const view = need(cursor, 12, 'sctp');
  const checksum = view.getUint32(8, true);
  const packet = cursor.bytes.slice(cursor.at, cursor.end);
  packet.fill(0, 8, 12);
  push(cursor, 'sctp', 12, {
    src: view.getUint16(0),
    dst: view.getUint16(2),
    tag: view.getUint32(4),
    checksum: judged(checksum, whole ? crc32c(packet) : checksum),
  });
  payload(cursor);
}

function vxlan(cursor: Cursor) {
  const view = need(cursor, 8, 'vxlan');
  const [first, second] = [view.getUint32(0), view.getUint32(4)];
  push(cursor, 'vxlan', 8, {
    vni: second >>> 8,
    flags: hex(first >>> 24, 2),
    reserved1: first & 0xffffff,
    reserved2: second & 0xff,
  });
  ethernet(cursor);
}

function geneve(cursor: Cursor) {
  const view = need(cursor, 8, 'geneve');
  const first = view.getUint8(0);
  const length = 8 + (first & 63) * 4;
  need(cursor, length, 'geneve options');
  const type = view.getUint16(2);
  push(cursor, 'geneve', length, {
    version: first >>> 6,
    vni: view.getUint32(4) >>> 8,
    oam: view.getUint8(1) >>> 7,
    critical: (view.getUint8(1) >>> 6) & 1,
    protocol: hex(type),
    options: toHex(take(cursor, 8, length - 8)),
  });
  byEtherType(cursor, type);
}
