// pipeline/pipeline.test.ts — rules by id and by decision, and changes that cannot be.

import { describe, expect, test } from 'vitest';
import type { Classifier } from '../../../src/pipeline/classifier.ts';
import { Match, makeRule } from '../../../src/pipeline/match.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import type { Rule } from '../../../src/pipeline/rule.ts';
import { type StageName, stageIndex } from '../../../src/pipeline/stages.ts';

const rule = (id: string, priority = 1, goto?: StageName): Rule =>
  makeRule('l2', {
    id,
    priority,
    match: new Match().number('in_port', 1),
    steps: goto === undefined ? [] : [{ kind: 'goto', stage: goto }],
    origin: { object: 'test', path: '' },
  });

describe('a pipeline', () => {
  test('finds its rules by id and by decision, until they are gone', () => {
    const [a, b] = [rule('a'), rule('b', 2)];
    const pipeline = new Pipeline([a, b]);
    expect(pipeline.rule('l2/a')).toBe(a);
    expect(pipeline.ruleOfDecision(b.decision)).toBe(b);
    expect(pipeline.ruleCount).toBe(2);
    pipeline.apply({ removed: [a], added: [] });
    expect(pipeline.rule('l2/a')).toBeUndefined();
    expect(pipeline.ruleOfDecision(a.decision)).toBeUndefined();
    expect([...pipeline.rules()]).toEqual([b]);
    expect((pipeline.tables[stageIndex.l2] as Classifier).size).toBe(1);
  });

  test('replaces a rule by one of the same id, and knows the new one by its decision', () => {
    const [old, next] = [rule('a', 1), rule('a', 9)];
    const pipeline = new Pipeline([old]);
    pipeline.apply({ removed: [old], added: [next] });
    expect(pipeline.ruleOfDecision(old.decision)).toBe(next);
  });

  test('takes out a rule that is equal, though not the same object', () => {
    const pipeline = new Pipeline([rule('a')]);
    pipeline.apply({ removed: [rule('a')], added: [] });
    expect(pipeline.ruleCount).toBe(0);
    expect((pipeline.tables[stageIndex.l2] as Classifier).size).toBe(0);
  });

  test('refuses what is a bug: unknown rules, ids twice, jumps back', () => {
    const pipeline = new Pipeline([rule('a')]);
    expect(() => pipeline.apply({ removed: [rule('b')], added: [] })).toThrow(
      /no such rule: l2\/b/,
    );
    expect(() => pipeline.apply({ removed: [rule('a', 3)], added: [] })).toThrow(/no such rule/);
    expect(() => pipeline.apply({ removed: [], added: [rule('a')] })).toThrow(/two rules/);
    expect(() => new Pipeline([rule('c', 1, 'classify')])).toThrow(/goes back to classify/);
    expect(() => new Pipeline([rule('c', 1, 'l2')])).toThrow(/goes back/);
    const inPolicy = makeRule('egress-policy', {
      ...{ id: 'a', priority: 1, match: new Match(), steps: [] },
      origin: { object: 'test', path: '' },
    });
    expect(() => new Pipeline([inPolicy])).toThrow(/takes its rules from the policy/);
  });
});
