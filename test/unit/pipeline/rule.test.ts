// pipeline/rule.test.ts — when two rules are the same, and how a rule reads.

import { describe, expect, test } from 'vitest';
import { action } from '../../../src/flow/actions.ts';
import { Match, makeRule, type RuleParts } from '../../../src/pipeline/match.ts';
import { localLocation, locationTunnel, register } from '../../../src/pipeline/registers.ts';
import {
  decisionOf,
  formatRuleMatch,
  hashName,
  type Rule,
  type Step,
  sameRule,
} from '../../../src/pipeline/rule.ts';

const make = (parts: Partial<RuleParts> = {}): Rule =>
  makeRule('l2', {
    id: 'a',
    priority: 5,
    match: new Match().register('network', 7).number('in_port', 3),
    steps: [
      { kind: 'actions', words: action.output(1) },
      { kind: 'set', register: register.tagged, value: 1 },
      { kind: 'goto', stage: 'deliver' },
    ],
    origin: { object: 'port a', path: 'ports[a].mac' },
    ...parts,
  });

describe('two rules', () => {
  test('are the same when everything is', () => {
    expect(sameRule(make(), make())).toBe(true);
  });

  const steps = (...list: Step[]): Partial<RuleParts> => ({ steps: list });
  test.each([
    ['id', make({ id: 'b' })],
    ['priority', make({ priority: 6 })],
    ['match', make({ match: new Match().register('network', 8).number('in_port', 3) })],
    ['mask', make({ match: new Match().register('network', 7) })],
    ['origin', make({ origin: { object: 'port a', path: 'ports[a].ips' } })],
    ['step count', make(steps())],
    ['step kind', make(steps({ kind: 'untag' }, { kind: 'learn' }, { kind: 'done' }))],
    [
      'action words',
      make(
        steps(
          { kind: 'actions', words: action.output(2) },
          { kind: 'set', register: register.tagged, value: 1 },
          { kind: 'goto', stage: 'deliver' },
        ),
      ),
    ],
    [
      'register value',
      make(
        steps(
          { kind: 'actions', words: action.output(1) },
          { kind: 'set', register: register.tagged, value: 0 },
          { kind: 'goto', stage: 'deliver' },
        ),
      ),
    ],
    [
      'drop reason',
      make(
        steps(
          { kind: 'actions', words: action.output(1) },
          { kind: 'set', register: register.tagged, value: 1 },
          { kind: 'drop', reason: 3 },
        ),
      ),
    ],
  ])('differ by their %s', (_, other) => {
    expect(sameRule(make(), other)).toBe(false);
  });
});

test('a match is shown registers first, locations by kind', () => {
  const match = new Match()
    .register('source', localLocation(4))
    .kind('destination', locationTunnel)
    .number('eth_type', 0x0806);
  expect(formatRuleMatch(make({ match }))).toBe(
    'source=port(4),destination=any tunnel,eth_type=0x0806',
  );
  expect(formatRuleMatch(make({ match: new Match() }))).toBe('any');
});

test('names hash to FNV-1a, which stays the same for ever', () => {
  expect(hashName('')).toBe(0x811c9dc5);
  expect(hashName('foobar')).toBe(0xbf9cf968);
  expect(decisionOf('l2/a')).toBe(make().decision);
});
