// lib/addresses.ts — MAC, IPv4 and IPv6 addresses and prefixes, between text and bytes.
//
// Bytes are in network order, as they stand in a packet. Text has one canonical form (MAC in lower
// case with colons, IPv4 in four decimal parts, IPv6 as in RFC 5952), so that equal addresses are
// equal strings. Parsing is strict: what inet_aton would guess at (`10.1`, `010.0.0.1`) is refused,
// and so are zone ids. For wrong text `tryParse…` answers undefined, and `parse…` throws
// ERR_ARGUMENT_INVALID.

import ipaddr from 'ipaddr.js';
import { SwitchError } from './errors.ts';

export type IpFamily = 4 | 6;

/** An IP prefix: 4 or 16 bytes in network order, with all bits after the prefix zero. */
export interface Cidr {
  readonly family: IpFamily;
  readonly bytes: Uint8Array;
  readonly prefix: number;
}

const macPattern = /^[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}$/i;
const ipv4Pattern = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const prefixPattern = /^(?:0|[1-9]\d{0,2})$/;

/** Two digits for every byte. */
const hexOf = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Six bytes, from six pairs of hexadecimal digits with ":" or "-" between them. */
export function tryParseMac(text: string): Uint8Array | undefined {
  if (!macPattern.test(text)) return undefined;
  const bytes = new Uint8Array(6);
  for (let index = 0; index < 6; index += 1) {
    bytes[index] = Number.parseInt(text.slice(index * 3, index * 3 + 2), 16);
  }
  return bytes;
}

/** Like tryParseMac; throws ERR_ARGUMENT_INVALID for wrong text. */
export function parseMac(text: string): Uint8Array {
  return required(tryParseMac(text), text, 'a MAC address such as 02:00:00:00:00:01');
}

/** Canonical text of six bytes. */
export function formatMac(bytes: Uint8Array): string {
  if (bytes.length !== 6) throw new RangeError(`a MAC address has 6 bytes, not ${bytes.length}`);
  let text = hexOf[bytes[0] ?? 0] ?? '';
  for (let at = 1; at < 6; at += 1) text += `:${hexOf[bytes[at] ?? 0]}`;
  return text;
}

/** True when the group bit is set: multicast or broadcast, never the source of a frame. */
export function isMulticastMac(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & 1) === 1;
}

/** Four bytes, or sixteen, from the text of an address; no port, prefix, zone or short form. */
export function tryParseIp(text: string): Uint8Array | undefined {
  if (ipv4Pattern.test(text)) return Uint8Array.from(text.split('.'), Number);
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  return Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray());
}

/** Like tryParseIp; throws ERR_ARGUMENT_INVALID for wrong text. */
export function parseIp(text: string): Uint8Array {
  return required(tryParseIp(text), text, 'an IPv4 or IPv6 address');
}

/** Canonical text of 4 or 16 bytes. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16)
    throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
  return new ipaddr.IPv6(Array.from(bytes)).toRFC5952String();
}

/** Family of address bytes. */
export function ipFamily(bytes: Uint8Array): IpFamily {
  return bytes.length === 4 ? 4 : 6;
}

/** True for an address that one host can own: not unspecified, multicast or limited broadcast. */
export function isUnicastIp(bytes: Uint8Array): boolean {
  if (bytes.every((byte) => byte === 0)) return false;
  const first = bytes[0] ?? 0;
  if (bytes.length === 16) return first !== 0xff;
  return first !== 0 && first < 224;
}

/** A prefix, from `address/length`. Bits after the prefix must be zero unless `loose`. */
export function tryParseCidr(text: string, loose = false): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const bytes = tryParseIp(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  if (bytes === undefined || !prefixPattern.test(lengthText)) return undefined;
  const prefix = Number(lengthText);
  if (prefix > bytes.length * 8) return undefined;
  const masked = maskBytes(bytes, prefix);
  if (!loose && !sameBytes(masked, bytes)) return undefined;
  return { family: ipFamily(bytes), bytes: masked, prefix };
}

/** Like tryParseCidr; throws ERR_ARGUMENT_INVALID for wrong text. */
export function parseCidr(text: string): Cidr {
  return required(tryParseCidr(text), text, 'a prefix such as 10.0.0.0/24 or fd00::/64');
}

/** A prefix from `address/length`, or the whole-length prefix of a plain address. */
export function tryParseIpOrCidr(text: string): Cidr | undefined {
  if (text.includes('/')) return tryParseCidr(text);
  const bytes = tryParseIp(text);
  return bytes && { family: ipFamily(bytes), bytes, prefix: bytes.length * 8 };
}

/** Canonical text of a prefix. */
export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.bytes)}/${cidr.prefix}`;
}

/** True when the address lies in the prefix; false for the other family. */
export function cidrContains(cidr: Cidr, address: Uint8Array): boolean {
  if (cidr.bytes.length !== address.length) return false;
  return samePrefix(cidr.bytes, address, cidr.prefix);
}

/** True when the prefixes share an address. */
export function cidrsOverlap(one: Cidr, other: Cidr): boolean {
  if (one.family !== other.family) return false;
  return samePrefix(one.bytes, other.bytes, Math.min(one.prefix, other.prefix));
}

/** The IPv6 address that a MAC makes of a prefix of 64 bits (RFC 4291, appendix A). */
export function eui64Of(prefix: Uint8Array, mac: Uint8Array): Uint8Array {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac;
  return Uint8Array.of(...prefix.subarray(0, 8), a ^ 2, b, c, 0xff, 0xfe, d, e, f);
}

/** Mask of a prefix: `length` bytes with the first `prefix` bits set. */
export function prefixMask(prefix: number, length: 4 | 16): Uint8Array {
  return maskBytes(new Uint8Array(length).fill(0xff), prefix);
}

/** True when both have the same length and the same bytes. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

function samePrefix(one: Uint8Array, other: Uint8Array, prefix: number): boolean {
  const whole = prefix >> 3;
  for (let index = 0; index < whole; index += 1) {
    if (one[index] !== other[index]) return false;
  }
  const rest = prefix & 7;
  if (rest === 0) return true;
  const shift = 8 - rest;
  return (one[whole] ?? 0) >> shift === (other[whole] ?? 0) >> shift;
}

function maskBytes(bytes: Uint8Array, prefix: number): Uint8Array {
  return bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefix - index * 8));
    return byte & ((0xff << (8 - bits)) & 0xff);
  });
}

function required<T>(value: T | undefined, text: string, expected: string): T {
  if (value !== undefined) return value;
  throw new SwitchError('ERR_ARGUMENT_INVALID', `${JSON.stringify(text)} is not ${expected}`);
}
