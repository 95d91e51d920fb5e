// slowpath/decisions.test.ts — decisions have names, beyond the end of their rules.

import { expect, test } from 'vitest';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import { decisionOf } from '../../../src/pipeline/rule.ts';
import { Decisions, unknownDecision } from '../../../src/slowpath/decisions.ts';
import { example, TestNetwork } from '../rules/network.ts';

test('a decision is called by its rule, a miss by its stage, and others not at all', () => {
  const { pipeline } = new TestNetwork(example('two-hosts.yaml'), 'h1');
  const decisions = new Decisions(pipeline);
  const id = 'classify/port/blue1';
  const text = { rule: id, origin: 'port blue1', path: 'ports[blue1].device' };
  expect(decisions.text(decisionOf(id))).toEqual(text);
  expect(decisions.text(decisionOf('l2/miss'))).toMatchObject({ rule: 'l2/miss', origin: '' });
  expect(decisions.text(4711)).toBe(unknownDecision);
});

test('what was asked for is known after its rule has gone', () => {
  const { pipeline } = new TestNetwork(example('two-hosts.yaml'), 'h1');
  const rules = new Pipeline([...pipeline.rules()]);
  const decisions = new Decisions(rules);
  const [rule] = [...rules.rules()].filter(({ id }) => id === 'classify/port/blue1');
  decisions.remember(rule!.decision);
  rules.apply({ removed: [rule!], added: [] });
  decisions.forget();
  expect(decisions.text(rule!.decision)).toMatchObject({ rule: 'classify/port/blue1' });
});
