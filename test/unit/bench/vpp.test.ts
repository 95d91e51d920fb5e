// bench/vpp.test.ts — what the peers bench reads out of VPP's `show runtime`.

import { expect, test } from 'vitest';
import { readRuntime } from '../../../bench/peers/vpp.ts';

const titles = ['Name', 'State', 'Calls', 'Vectors', 'Suspends', 'Clocks', 'Vectors/Call'];
const widths = [-32, 8, 14, 16, 12, 14, 12];
const row = (columns: readonly string[]) =>
  columns
    .map((text, at) =>
      widths[at]! < 0 ? text.padEnd(-widths[at]!) : ` ${text.padStart(widths[at]!)}`,
    )
    .join('');

const head = [
  'Time 4.0, 10 sec internal node vector rate 256.00 loops/sec 79010.12',
  '  vector rates in 2.0000e7, out 2.0000e7, drop 0.0000e0, punt 0.0000e0',
  row(titles),
  '',
].join('\n');
const line = (name: string, state: string, vectors: number, clocks: string) =>
  `${row([name, state, '312500', String(vectors), '0', clocks, '256.00'])}\n`;

test('cycles are the sum over all nodes, by the packets that came in', () => {
  const text =
    head +
    line('ethernet-input', 'active', 80_000_000, '5.90e0') +
    line('pg-input', 'polling', 80_000_000, '2.47e1') +
    line('pg1-tx', 'active', 80_000_000, '8.10e0') +
    line('vxlan4-encap', 'active', 80_000_000, '3.22e1') +
    line('unix-epoll-input', 'polling', 0, '5.10e3') +
    line('ip4-full-reassembly-expire-wal', 'any wait', 0, '0.00e0');
  const { cycles, mpps } = readRuntime(text);
  expect(cycles).toBeCloseTo(5.9 + 24.7 + 8.1 + 32.2, 6);
  expect(mpps).toBeCloseTo(20, 6);
});

test('packets that do not leave are an error that says how many', () => {
  const text =
    head +
    line('pg-input', 'polling', 80_000_000, '2.47e1') +
    line('pg1-tx', 'active', 79_000_000, '8.10e0');
  expect(() => readRuntime(text)).toThrow('lost 1000000 of 80000000 packets');
});

test('a runtime without packets is an error', () => {
  expect(() => readRuntime(head)).toThrow('measured nothing');
});
