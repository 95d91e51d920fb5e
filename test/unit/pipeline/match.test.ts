// pipeline/match.test.ts — conditions end up in key and mask, and nowhere else.

import { expect, test } from 'vitest';
import { formatMatch } from '../../../src/flow/key-text.ts';
import { groupBit, Match, makeRule, RuleList } from '../../../src/pipeline/match.ts';
import { locationKindMask, locationLocal, register } from '../../../src/pipeline/registers.ts';

test('fields, prefixes, registers and kinds add up', () => {
  const match = new Match()
    .number('eth_type', 0x0800)
    .bytes('ip_src', Uint8Array.of(10, 1, 2, 3), Uint8Array.of(255, 255, 0, 0))
    .bytes('eth_dst', groupBit, groupBit)
    .register('network', 9)
    .kind('source', locationLocal);
  expect(formatMatch(match.key, 0, match.mask, 0)).toBe(
    'eth_type=0x0800,eth_dst=01:00:00:00:00:00/01:00:00:00:00:00,ip_src=10.1.0.0/16',
  );
  expect(match.key[register.network]).toBe(9);
  expect(match.mask[register.network]).toBe(0xffffffff);
  expect(match.mask[register.source]).toBe(locationKindMask);
  expect(match.key.every((word, at) => (word & ~match.mask[at]!) === 0)).toBe(true);
});

test('a list makes rules whose ids begin with their stage', () => {
  const list = new RuleList();
  const parts = { priority: 1, steps: [], origin: { object: '', path: '' } };
  list.add('l2', { id: 'x', match: new Match(), ...parts });
  list.add('deliver', { id: 'x', match: new Match(), ...parts });
  expect(list.rules.map(({ id }) => id)).toEqual(['l2/x', 'deliver/x']);
  expect(makeRule('l2', { id: 'x', match: new Match(), ...parts })).toEqual(list.rules[0]);
});
