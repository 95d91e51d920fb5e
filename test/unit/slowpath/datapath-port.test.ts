// slowpath/datapath-port.test.ts — offsets and numbers are those of native/datapath/layout.h.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as port from '../../../src/slowpath/datapath-port.ts';

const native = join(import.meta.dirname, '../../../native');
const layout = readFileSync(join(native, 'datapath/layout.h'), 'utf8');
const execute = readFileSync(join(native, 'action/execute.h'), 'utf8');

/** Byte offset that the comment of a member gives, inside one struct. */
function offsetOf(struct: string, member: string): number {
  const body = new RegExp(`struct ${struct} \\{([\\s\\S]*?)\\n\\};`).exec(layout)?.[1] ?? '';
  const line = new RegExp(`\\b${member}(?:\\[\\w+\\])?;\\s+// (\\d+)`).exec(body);
  return Number(line?.[1] ?? Number.NaN);
}

test.each([
  ['recordBytes', 'record_bytes'],
  ['kind', 'kind'],
  ['reason', 'reason'],
  ['rxNs', 'rx_ns'],
  ['verdictKind', 'verdict_kind'],
  ['verdictFlow', 'verdict_flow'],
  ['verdictGeneration', 'verdict_generation'],
  ['key', 'key'],
  ['verdictReason', 'verdict_reason'],
  ['inlineCount', 'inline_count'],
  ['inlineActions', 'inline_actions'],
] as const)('upcall record: %s', (name, member) => {
  expect(port.upcallWord[name] * 4).toBe(offsetOf('UpcallRecord', member));
});

test.each([
  ['state', 'state'],
  ['generation', 'generation'],
  ['actionWords', 'action_words'],
  ['decision', 'decision'],
  ['createdMs', 'created_ms'],
  ['key', 'key'],
  ['mask', 'mask'],
  ['actions', 'actions'],
] as const)('flow slot: %s', (name, member) => {
  // The comment of `state` says more than its offset, which is 0.
  expect(port.flowWord[name] * 4).toBe(offsetOf('FlowSlot', member));
});

test('numbers of kinds and reasons', () => {
  const numbers = (text: string, name: string) => {
    const body = new RegExp(`enum class ${name}[^{]*\\{([^}]*)\\}`).exec(text)?.[1] ?? '';
    return Object.fromEntries(
      [...body.matchAll(/(\w+) = (\d+)/g)].map(([, key, value]) => [key, Number(value)]),
    );
  };
  expect(port.verdictKind).toEqual(numbers(layout, 'VerdictKind'));
  expect(port.recordKind).toEqual(numbers(layout, 'RecordKind'));
  expect(port.commandKind).toEqual(numbers(layout, 'CommandKind'));
  expect(port.upcallReason).toEqual(numbers(execute, 'UpcallReason'));
  expect(layout).toContain(`sizeof(FlowSlot) == ${port.flowSlotWords * 4}`);
});
