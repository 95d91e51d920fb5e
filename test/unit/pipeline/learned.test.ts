// pipeline/learned.test.ts — a learned address is two rules, between the model's and the unknown.

import { expect, test } from 'vitest';
import { dropReason } from '../../../src/flow/drop-reasons.ts';
import { learnedRules, learnFullRule, learnPriority } from '../../../src/pipeline/learned.ts';
import { localLocation, register } from '../../../src/pipeline/registers.ts';
import { formatRuleMatch } from '../../../src/pipeline/rule.ts';

const mac = Uint8Array.of(2, 0x77, 0, 0, 0, 1);

test('one rule lets its packets pass, one finds it; their ids stay when it moves', () => {
  const rules = learnedRules({ vni: 300, mac, location: localLocation(4) });
  expect(rules.map((rule) => `${rule.stage}: ${formatRuleMatch(rule)}`)).toEqual([
    'learn: network=300,source=port(4),eth_src=02:77:00:00:00:01',
    'l2-learned: network=300,eth_dst=02:77:00:00:00:01',
  ]);
  expect(rules[1]?.steps).toEqual([
    { kind: 'set', register: register.destination, value: localLocation(4) },
  ]);
  const moved = learnedRules({ vni: 300, mac, location: localLocation(5) });
  expect(moved.map(({ id }) => id)).toEqual(rules.map(({ id }) => id));
});

test('a full location drops below what it has learned, above the unknown', () => {
  const rule = learnFullRule(300, localLocation(4));
  expect(rule.steps).toEqual([{ kind: 'drop', reason: dropReason.LearnLimit }]);
  expect(rule.priority).toBeLessThan(learnPriority.learnedHere);
  expect(rule.priority).toBeGreaterThan(learnPriority.unknown);
  expect(learnPriority.learnedHere).toBeLessThan(learnPriority.knownToModel);
});
