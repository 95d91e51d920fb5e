// cli/human.ts — numbers as people read them: 1.2 M, 3.4 Gbit/s, 2 h 5 min.
//
// Three digits are enough to compare; scripts take -o json, which has them all.

const steps = ['', ' k', ' M', ' G', ' T', ' P'] as const;
const step = 1000;

/** A count: 999, 1.23 k, 12.3 k, 123 k, 1.23 M. */
export function count(value: number): string {
  let scaled = value;
  let index = 0;
  while (Math.abs(scaled) >= step - 0.5 && index < steps.length - 1) {
    scaled /= step;
    index += 1;
  }
  if (index === 0)
    return `${Math.abs(scaled) < 99.95 ? Math.round(scaled * 10) / 10 : Math.round(scaled)}`;
  const decimals = Math.abs(scaled) < 9.995 ? 2 : Math.abs(scaled) < 99.95 ? 1 : 0;
  return `${scaled.toFixed(decimals)}${steps[index]}`;
}

function withUnit(value: number, unit: string): string {
  const text = count(value);
  return text.includes(' ') ? `${text}${unit}` : `${text} ${unit}`;
}

/** Bits per second: 1.23 Gbit/s. */
export function bitRate(bitsPerSecond: number): string {
  return withUnit(bitsPerSecond, 'bit/s');
}

/** Bytes, in decimal steps: 1.23 MB. */
export function bytes(value: number): string {
  return withUnit(value, 'B');
}

/** A short time: 87 us, 1.23 ms, 2.50 s. */
export function microseconds(value: number): string {
  const [scaled, unit] =
    value < 999.5 ? [value, 'us'] : value < 999_500 ? [value / 1e3, 'ms'] : [value / 1e6, 's'];
  if (unit === 'us' || scaled >= 99.95) return `${Math.round(scaled)} ${unit}`;
  return `${scaled.toFixed(scaled < 9.995 ? 2 : 1)} ${unit}`;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/** Seconds: 0.3 s, 12 s, 2 min 5 s, 3 h 4 min, 5 d 6 h. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  if (whole < minute) return `${whole} s`;
  if (whole < hour) return pair(whole, [minute, 'min'], [1, 's']);
  if (whole < day) return pair(whole, [hour, 'h'], [minute, 'min']);
  return pair(whole, [day, 'd'], [hour, 'h']);
}

type Unit = readonly [size: number, name: string];

function pair(seconds: number, [large, one]: Unit, [small, other]: Unit): string {
  const rest = Math.floor((seconds % large) / small);
  const first = `${Math.floor(seconds / large)} ${one}`;
  return rest === 0 ? first : `${first} ${rest} ${other}`;
}

/** "1 change", "2 changes". */
export function plural(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
