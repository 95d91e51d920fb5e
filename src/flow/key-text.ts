// flow/key-text.ts — keys and masks as text: "in_port=1,eth_type=0x0800,ip_src=10.0.0.0/24".
//
// The syntax of `vtepctl flows` and `vtepctl trace`, close to that of ovs-ofctl. A field that is
// not named is a wildcard in a match, and zero in the key of a packet. A mask follows its value
// after a slash: a prefix length for addresses where it is one, else a value of the same form.

import { formatIp, formatMac, prefixMask, tryParseIp, tryParseMac } from '../lib/addresses.ts';
import { SwitchError } from '../lib/errors.ts';
import {
  ethType,
  type Field,
  field,
  fields,
  findField,
  getBytes,
  getNumber,
  ipProto,
  isOnes,
  isZero,
  newKey,
  setBytes,
  setNumber,
  setOnes,
  vlanPresent,
} from './key.ts';

/** A key and what of it matters. */
export interface Match {
  readonly key: Uint32Array;
  readonly mask: Uint32Array;
}

export interface KeyTextOptions {
  /** Name of a device port, for `in_port`; without it, or when undefined: its number. */
  readonly portName?: (number: number) => string | undefined;
}

export interface KeyParseOptions {
  /** Number of a device port by name, or undefined. */
  readonly portNumber?: (name: string) => number | undefined;
}

/** Text of the key at `base`: fields that are not zero, unmasked. */
export function formatKey(words: Uint32Array, base = 0, options: KeyTextOptions = {}): string {
  const parts: string[] = [];
  for (const entry of fields) {
    if (isZero(words, base, entry)) continue;
    parts.push(`${entry.name}=${formatFieldValue(entry, words, base, options)}`);
  }
  return parts.join(',');
}

/** Text of a match: every field that the mask touches, as `name=value` or `name=value/mask`. */
export function formatMatch(
  key: Uint32Array,
  keyBase: number,
  mask: Uint32Array,
  maskBase: number,
  options: KeyTextOptions = {},
): string {
  const parts: string[] = [];
  for (const entry of fields) {
    if (isZero(mask, maskBase, entry)) continue;
    const value = formatFieldValue(entry, key, keyBase, options);
    const suffix = isOnes(mask, maskBase, entry) ? '' : `/${formatMask(entry, mask, maskBase)}`;
    parts.push(`${entry.name}=${value}${suffix}`);
  }
  return parts.length === 0 ? 'any' : parts.join(',');
}

/** Text of one field of the key at `base`. */
export function formatFieldValue(
  entry: Field,
  words: Uint32Array,
  base: number,
  options: KeyTextOptions,
): string {
  if (entry.kind === 'mac') return formatMac(getBytes(words, base, entry));
  if (entry.kind === 'ipv4' || entry.kind === 'ipv6') return formatIp(getBytes(words, base, entry));
  const value = getNumber(words, base, entry);
  if (entry.name === 'in_port') return options.portName?.(value) ?? `${value}`;
  return entry.kind === 'hex' ? hexText(value, entry) : `${value}`;
}

function formatMask(entry: Field, mask: Uint32Array, base: number): string {
  const bytes = getBytes(mask, base, entry);
  if (entry.kind === 'mac') return formatMac(bytes);
  if (entry.kind === 'ipv4' || entry.kind === 'ipv6') {
    const prefix = prefixLength(bytes);
    return prefix === undefined ? formatIp(bytes) : `${prefix}`;
  }
  return hexText(getNumber(mask, base, entry), entry);
}

function hexText(value: number, entry: Field): string {
  return `0x${value.toString(16).padStart(entry.bytes * 2, '0')}`;
}

/** Length of the prefix that the bytes are a mask of, or undefined. */
function prefixLength(bytes: Uint8Array): number | undefined {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
  const zero = bits.indexOf('0');
  const length = zero < 0 ? bits.length : zero;
  return bits.indexOf('1', length) < 0 ? length : undefined;
}

/** Reads `name=value[/mask],…`. Throws ERR_ARGUMENT_INVALID that names field and expectation. */
export function parseMatch(text: string, options: KeyParseOptions = {}): Match {
  const key = newKey();
  const mask = newKey();
  const seen = new Set<string>();
  for (const part of text.split(',').map((piece) => piece.trim())) {
    if (part === '' || part === 'any') continue;
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).trim();
    if (equals < 0) wrong(`${JSON.stringify(part)} has no value`, 'name=value, such as in_port=1');
    parseField(name, part.slice(equals + 1).trim(), { key, mask }, options);
    const target = name === 'vlan_vid' ? 'vlan_tci' : name;
    if (seen.has(target)) wrong(`${target} is given twice`, 'each field once');
    seen.add(target);
  }
  for (let index = 0; index < key.length; index += 1) key[index]! &= mask[index]!;
  return { key, mask };
}

/** The key of a packet from the same text; masks are refused, since a packet has every bit. */
export function parseKey(text: string, options: KeyParseOptions = {}): Uint32Array {
  const slash = text.indexOf('/');
  if (slash >= 0)
    wrong(`${JSON.stringify(text)} has a mask`, 'plain values: a packet has no masks');
  return parseMatch(text, options).key;
}

function parseField(name: string, text: string, match: Match, options: KeyParseOptions): void {
  if (name === 'vlan_vid') {
    const vid = parseInteger(text, 0, 4095);
    if (vid === undefined) wrong(`vlan_vid is ${JSON.stringify(text)}`, 'a VLAN from 0 to 4095');
    setNumber(match.key, 0, field.vlan_tci, (vid ?? 0) | vlanPresent);
    setOnes(match.mask, 0, field.vlan_tci);
    return;
  }
  const entry = findField(name);
  if (entry === undefined) {
    const names = fields.map((known) => known.name).join(', ');
    wrong(`${JSON.stringify(name)} is no field of a packet`, `one of ${names}, vlan_vid`);
  }
  const slash = text.indexOf('/');
  const value = slash < 0 ? text : text.slice(0, slash);
  const readable = setValue(match.key, entry!, value, options);
  if (!readable) wrong(`${name} is ${JSON.stringify(value)}`, expectation(entry!));
  if (slash < 0) {
    setOnes(match.mask, 0, entry!);
    return;
  }
  const maskText = text.slice(slash + 1);
  if (!setMask(match.mask, entry!, maskText)) {
    wrong(`the mask of ${name} is ${JSON.stringify(maskText)}`, maskExpectation(entry!));
  }
}

function setValue(
  words: Uint32Array,
  entry: Field,
  text: string,
  options: KeyParseOptions,
): boolean {
  if (entry.kind === 'mac' || entry.kind === 'ipv4' || entry.kind === 'ipv6') {
    const bytes = entry.kind === 'mac' ? tryParseMac(text) : tryParseIp(text);
    if (bytes?.length !== entry.bytes) return false;
    setBytes(words, 0, entry, bytes);
    return true;
  }
  const value =
    parseInteger(text, 0, 2 ** (entry.bytes * 8) - 1) ??
    (entry.name === 'in_port' ? options.portNumber?.(text) : wordsOf(entry).get(text));
  if (value === undefined) return false;
  setNumber(words, 0, entry, value);
  return true;
}

function setMask(words: Uint32Array, entry: Field, text: string): boolean {
  if (entry.kind === 'ipv4' || entry.kind === 'ipv6') {
    const prefix = parseInteger(text, 0, entry.bytes * 8);
    const length = entry.kind === 'ipv4' ? 4 : 16;
    const bytes = prefix === undefined ? tryParseIp(text) : prefixMask(prefix, length);
    if (bytes?.length !== entry.bytes) return false;
    setBytes(words, 0, entry, bytes);
    return true;
  }
  return setValue(words, entry, text, {});
}

const ethTypeWords = new Map<string, number>([
  ['ip', ethType.ipv4],
  ['ipv4', ethType.ipv4],
  ['arp', ethType.arp],
  ['ipv6', ethType.ipv6],
]);
const ipProtoWords = new Map<string, number>(Object.entries(ipProto));
const noWords = new Map<string, number>();

function wordsOf(entry: Field): ReadonlyMap<string, number> {
  if (entry.name === 'eth_type') return ethTypeWords;
  return entry.name === 'ip_proto' ? ipProtoWords : noWords;
}

function parseInteger(text: string, min: number, max: number): number | undefined {
  if (!/^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

function expectation(entry: Field): string {
  if (entry.kind === 'mac') return 'a MAC address such as 02:00:00:00:00:01';
  if (entry.kind === 'ipv4') return 'an IPv4 address such as 10.0.0.1';
  if (entry.kind === 'ipv6') return 'an IPv6 address such as fd00::1';
  const range = `a number from 0 to ${2 ** (entry.bytes * 8) - 1}`;
  if (entry.name === 'in_port') return `the name of a port, or ${range}`;
  const known = [...wordsOf(entry).keys()];
  return known.length === 0 ? range : `${range}, or one of ${known.join(', ')}`;
}

function maskExpectation(entry: Field): string {
  if (entry.kind === 'ipv4' || entry.kind === 'ipv6') {
    return `a prefix length from 0 to ${entry.bytes * 8}, or a mask of the form of the address`;
  }
  return entry.kind === 'mac' ? 'a mask such as ff:ff:ff:00:00:00' : expectation(entry);
}

function wrong(found: string, expected: string): never {
  throw new SwitchError('ERR_ARGUMENT_INVALID', `${found}; expected ${expected}`);
}
