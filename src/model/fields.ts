// model/fields.ts — the kinds of values that documents and configurations consist of.
//
// Each schema checks a value and replaces it by its canonical text in one step, so that equal
// values are equal strings afterwards. By convention the message of a schema says what would have
// been right ("a MAC address such as …"); model/parse.ts adds what was found, and where.

import { z } from 'zod';
import * as addresses from '../lib/addresses.ts';
import { formatRate, tryParseRate } from '../lib/units.ts';

export const nameLengthMax = 63;

/** Longest name of a Linux device: IFNAMSIZ without the terminating zero. */
export const deviceNameLengthMax = 15;

/** Longest path of a unix socket: sun_path without the terminating zero. */
export const socketPathLengthMax = 107;

const namePattern = new RegExp(`^[A-Za-z0-9][A-Za-z0-9._-]{0,${nameLengthMax - 1}}$`);
const devicePattern = /^[^\s/:\p{Cc}]+$/u;

/** Outcome of reading a text: the canonical value, or what is wrong with it beyond its form. */
interface Reading {
  readonly value?: string;
  readonly found?: string;
}

/** A schema for text that `read` turns into its canonical form. */
function canonicalText(expected: string, read: (text: string) => Reading) {
  return z.string({ error: expected }).check((context) => {
    const reading = read(context.value);
    if (reading.value !== undefined) {
      context.value = reading.value;
      return;
    }
    const { value: input } = context;
    const params = { found: reading.found };
    context.issues.push({ code: 'custom', input, message: expected, params });
  });
}

/** A whole number from `min` to `max`; `what` names it, such as "a VNI". */
export function wholeNumber(what: string, min: number, max: number) {
  const expected = `${what} from ${min} to ${max}`;
  return z
    .number({ error: expected })
    .int({ error: expected })
    .min(min, { error: expected })
    .max(max, { error: expected });
}

/** One of a few words. */
export function oneOf<const Words extends readonly string[]>(words: Words) {
  return z.enum(words, { error: `one of ${words.join(', ')}` });
}

/** true or false. */
export function yesOrNo() {
  return z.boolean({ error: 'true or false' });
}

/** A list; `what` names its entries, such as "networks". */
export function listOf<Entry extends z.ZodType>(entry: Entry, what: string) {
  return z.array(entry, { error: `a list of ${what}` });
}

/** A mapping with exactly these fields; `what` describes it, such as "a host". */
export function mapping<Shape extends z.core.$ZodShape>(what: string, shape: Shape) {
  const fields = Object.keys(shape).join(', ');
  return z.strictObject(shape, { error: `${what}: a mapping with the fields ${fields}` });
}

/** Name of an object of the model, or a reference to one. */
export function nameOf(what: string) {
  const expected = `the name of ${what}: letters, digits, ".", "_", "-", at most ${nameLengthMax}`;
  return canonicalText(expected, (text) => (namePattern.test(text) ? { value: text } : {}));
}

/** Name of a Linux network device. */
export function deviceName() {
  const expected = `the name of a network device, at most ${deviceNameLengthMax} bytes`;
  return canonicalText(expected, (text) => {
    const fits = Buffer.byteLength(text) <= deviceNameLengthMax;
    const valid = fits && devicePattern.test(text) && text !== '.' && text !== '..';
    return valid ? { value: text } : {};
  });
}

/** Unicast MAC address, in canonical form. */
export function unicastMac() {
  return canonicalText('a unicast MAC address such as 02:00:00:00:00:01', (text) => {
    const bytes = addresses.tryParseMac(text);
    if (bytes === undefined) return {};
    if (bytes.every((byte) => byte === 0)) return { found: 'is the zero address' };
    if (addresses.isMulticastMac(bytes)) return { found: 'is a multicast address' };
    return { value: addresses.formatMac(bytes) };
  });
}

/** Address that one host can own, IPv4 or IPv6, in canonical form. */
export function unicastIp() {
  return canonicalText('a unicast IPv4 or IPv6 address such as 10.0.0.1 or fd00::1', (text) => {
    const bytes = addresses.tryParseIp(text);
    if (bytes === undefined) return {};
    if (!addresses.isUnicastIp(bytes)) return { found: 'is not a unicast address' };
    return { value: addresses.formatIp(bytes) };
  });
}

/** IP prefix without host bits, in canonical form. */
export function cidr() {
  return canonicalText('a prefix such as 10.0.0.0/24 or fd00::/64', (text) => {
    const strict = addresses.tryParseCidr(text);
    if (strict !== undefined) return { value: addresses.formatCidr(strict) };
    const loose = addresses.tryParseCidr(text, true);
    if (loose === undefined) return {};
    return { found: `has bits after the prefix (did you mean ${addresses.formatCidr(loose)}?)` };
  });
}

/** An address or a prefix; a whole-length prefix becomes the plain address. */
export function ipOrCidr() {
  const expected = 'an address or a prefix such as 10.0.0.1, 10.0.0.0/24 or fd00::/64';
  return canonicalText(expected, (text) => {
    const parsed = addresses.tryParseIpOrCidr(text);
    if (parsed !== undefined) {
      const whole = parsed.prefix === parsed.bytes.length * 8;
      const value = whole ? addresses.formatIp(parsed.bytes) : addresses.formatCidr(parsed);
      return { value };
    }
    const loose = addresses.tryParseCidr(text, true);
    if (loose === undefined) return {};
    return { found: `has bits after the prefix (did you mean ${addresses.formatCidr(loose)}?)` };
  });
}

/** Rate in bits per second, in canonical form: "100mbit". */
export function rate() {
  return canonicalText('a rate such as 64kbit, 100mbit or 2.5gbit', (text) => {
    const bitsPerSecond = tryParseRate(text);
    return bitsPerSecond === undefined ? {} : { value: formatRate(bitsPerSecond) };
  });
}

/** Absolute path without NUL; `what` names it, such as "a directory". */
export function absolutePath(what: string, lengthMax = 4095) {
  const expected = `${what}: an absolute path of at most ${lengthMax} bytes`;
  return canonicalText(expected, (text) => {
    const valid = text.startsWith('/') && !text.includes('\0');
    return valid && Buffer.byteLength(text) <= lengthMax ? { value: text } : {};
  });
}

const portPattern = /^(\d{1,5})(?:-(\d{1,5}))?$/;
const tpPortMax = 65535;

/** First and last port of a rule's `ports`, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** A canonical or typed range, "80" or "80-443"; undefined when it is not one. */
export function tryParsePortRange(text: string): PortRange | undefined {
  const match = portPattern.exec(text);
  if (match?.[1] === undefined) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return first <= tpPortMax && last <= tpPortMax ? { first, last } : undefined;
}

/** Ports of a rule: 80, "80" or "80-443"; canonical text is "80" or "80-443". */
export function portRange() {
  const expected = `a port or a range of ports such as 80 or 80-443, from 0 to ${tpPortMax}`;
  const read = (context: z.core.ParsePayload<string | number>) => {
    const { value: input } = context;
    const range = tryParsePortRange(String(input));
    if (range !== undefined && range.first <= range.last) {
      context.value =
        range.first === range.last ? `${range.first}` : `${range.first}-${range.last}`;
      return;
    }
    const found = range && `is reversed (did you mean ${range.last}-${range.first}?)`;
    context.issues.push({ code: 'custom', input, message: expected, params: { found } });
  };
  return z
    .union([z.string(), z.number()], { error: expected })
    .check(read)
    .pipe(z.string({ error: expected }));
}
