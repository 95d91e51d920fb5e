// support/bytes.ts — addresses, checksums and byte strings for building test packets.
//
// Written from the RFCs and apart from src and native on purpose: what judges the code must not
// share its bugs.

import { isIPv4, isIPv6 } from 'node:net';

export function concat(parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Big-endian 16-bit words, as bytes. */
export function u16(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [(value >>> 8) & 0xff, value & 0xff]));
}

/** Big-endian 32-bit words, as bytes. */
export function u32(...values: number[]): Uint8Array {
  return concat(values.map((value) => u16((value >>> 16) & 0xffff, value & 0xffff)));
}

export function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replace(/[\s:]/g, ''), 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** "02:00:00:00:00:01" to 6 bytes. */
export function macBytes(mac: string): Uint8Array {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) throw new Error(`not a MAC address: ${mac}`);
  return fromHex(mac);
}

export function macText(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** An IPv4 or IPv6 address to 4 or 16 bytes. */
export function ipBytes(ip: string): Uint8Array {
  if (isIPv4(ip)) return Uint8Array.from(ip.split('.').map(Number));
  if (!isIPv6(ip)) throw new Error(`not an IP address: ${ip}`);
  const mapped = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(ip);
  const text = mapped ? mapped[1] + toHex(ipBytes(mapped[2])).replace(/(....)(....)/, '$1:$2') : ip;
  const [head, tail] = text.split('::').map((half) => half.split(':').filter(Boolean));
  const zeros = tail ? Array(8 - head.length - tail.length).fill('0') : [];
  return u16(...[...head, ...zeros, ...(tail ?? [])].map((word) => Number.parseInt(word, 16)));
}

/** 4 or 16 bytes to text; IPv6 as RFC 5952 writes it. */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) =>
    ((bytes[2 * i] << 8) | bytes[2 * i + 1]).toString(16),
  );
  const runs = words.join(':').match(/\b0(?::0\b)+/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  if (!longest) return words.join(':');
  const text = words.join(':');
  const at = text.search(new RegExp(`(^|:)${longest}(:|$)`));
  const start = text[at] === ':' ? at + 1 : at;
  const before = text.slice(0, start).replace(/:$/, '');
  const after = text.slice(start + longest.length).replace(/^:/, '');
  return `${before}::${after}`;
}

/** One's complement sum of 16-bit words, folded, not inverted (RFC 1071). */
export function sum16(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at] << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** The Internet checksum of bytes whose checksum field is zero. */
export function checksum16(bytes: Uint8Array): number {
  return ~sum16(bytes) & 0xffff;
}

/** CRC32c of SCTP (RFC 4960 appendix B), as the number to store in little-endian order. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

/** Pseudo-header of IPv4 or IPv6 for transport checksums. */
export function pseudoHeader(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): Uint8Array {
  if (source.length === 4) return concat([source, destination, u16(protocol, length)]);
  return concat([source, destination, u32(length, protocol)]);
}
