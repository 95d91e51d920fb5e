// lib/units.ts — rates and durations as people write them: "100mbit", "300ms".
//
// Rates are in bits per second with the decimal steps of tc(8): 1 mbit is 1 000 000 bit. Both have
// one canonical text, the largest unit that needs no fraction, so that equal values are equal
// strings. Fractions are accepted ("1.5gbit") when the result is whole.

import { SwitchError } from './errors.ts';

type Unit = readonly [suffix: string, size: number];

/** Largest first: formatting takes the first that divides. */
const rateUnits: readonly Unit[] = [
  ['tbit', 1e12],
  ['gbit', 1e9],
  ['mbit', 1e6],
  ['kbit', 1e3],
  ['bit', 1],
];

const durationUnits: readonly Unit[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

const quantityPattern = /^(\d{1,16}(?:\.\d{1,9})?)\s*([a-z]+)$/i;

/** Bits per second; undefined for wrong text, zero, or a value with a fraction of a bit. */
export function tryParseRate(text: string): number | undefined {
  return tryParseQuantity(text, rateUnits);
}

/** Like tryParseRate; throws ERR_ARGUMENT_INVALID for wrong text. */
export function parseRate(text: string): number {
  return required(tryParseRate(text), text, 'a rate such as 100mbit or 2.5gbit');
}

/** Canonical text of a rate in bits per second. */
export function formatRate(bitsPerSecond: number): string {
  return formatQuantity(bitsPerSecond, rateUnits);
}

/** Milliseconds; undefined for wrong text, zero, or a value with a fraction of a millisecond. */
export function tryParseDuration(text: string): number | undefined {
  return tryParseQuantity(text, durationUnits);
}

/** Like tryParseDuration; throws ERR_ARGUMENT_INVALID for wrong text. */
export function parseDuration(text: string): number {
  return required(tryParseDuration(text), text, 'a duration such as 500ms, 30s or 5m');
}

/** Canonical text of a duration in milliseconds. */
export function formatDuration(milliseconds: number): string {
  return formatQuantity(milliseconds, durationUnits);
}

function tryParseQuantity(text: string, units: readonly Unit[]): number | undefined {
  const match = quantityPattern.exec(text);
  const suffix = match?.[2]?.toLowerCase();
  const size = units.find(([name]) => name === suffix)?.[1];
  if (match?.[1] === undefined || size === undefined) return undefined;
  const [whole = '', fraction = ''] = match[1].split('.');
  // Decimal digits are scaled as integers: 1.1 * 1e9 in floating point is not whole.
  const scaled = BigInt(whole + fraction) * BigInt(size);
  const divisor = 10n ** BigInt(fraction.length);
  const value = Number(scaled / divisor);
  const exact = scaled % divisor === 0n && value > 0 && Number.isSafeInteger(value);
  return exact ? value : undefined;
}

function formatQuantity(value: number, units: readonly Unit[]): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a quantity: ${value}`);
  const last = units[units.length - 1] as Unit;
  const [suffix, size] = units.find(([, unit]) => value >= unit && value % unit === 0) ?? last;
  return `${value / size}${suffix}`;
}

function required(value: number | undefined, text: string, expected: string): number {
  if (value !== undefined) return value;
  throw new SwitchError('ERR_ARGUMENT_INVALID', `${JSON.stringify(text)} is not ${expected}`);
}
