// flow/drop-reasons.test.ts — the table is native/base/drop_reasons.def, line by line.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  dropReason,
  dropReasonName,
  dropReasonNumber,
  dropReasonTexts,
} from '../../../src/flow/drop-reasons.ts';

const definitions = join(import.meta.dirname, '../../../native/base/drop_reasons.def');

test('symbols, names, helps and numbers are those of drop_reasons.def', () => {
  const lines = readFileSync(definitions, 'utf8').matchAll(/^DROP\((\w+), (\w+), "(.*)"\)$/gm);
  const native = [...lines].map(([, symbol, name, help], number) => ({
    number,
    symbol,
    name,
    help,
  }));
  expect(native.length).toBeGreaterThan(60);
  expect(dropReasonTexts).toEqual(native);
});

test('numbers are found by symbol and by name, names by number', () => {
  expect(dropReasonTexts[dropReason.UnknownMac]?.name).toBe('unknown_mac');
  expect(dropReasonNumber('acl_deny')).toBe(dropReason.AclDeny);
  expect(dropReasonNumber('no_such_reason')).toBeUndefined();
  expect(dropReasonName(dropReason.SpoofedMac)).toBe('spoofed_mac');
  expect(dropReasonName(95)).toBe('reason_95');
});
