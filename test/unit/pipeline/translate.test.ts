// pipeline/translate.test.ts — one walk: steps, misses, limits; and what its mask promises.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { action, formatActions } from '../../../src/flow/actions.ts';
import { dropReason } from '../../../src/flow/drop-reasons.ts';
import {
  ctState,
  field,
  flowKeyWords,
  getNumber,
  newKey,
  setNumber,
} from '../../../src/flow/key.ts';
import { Match, makeRule } from '../../../src/pipeline/match.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import { everyReceiver } from '../../../src/pipeline/policy-stage.ts';
import { localLocation, register } from '../../../src/pipeline/registers.ts';
import { decisionOf, type Receivers, type Rule, type Step } from '../../../src/pipeline/rule.ts';
import { type StageName, stages } from '../../../src/pipeline/stages.ts';
import { Translation, translate, translateStepsMax } from '../../../src/pipeline/translate.ts';
import { arbitraryKey, arbitraryRules, sameWords, wildBits } from './arbitrary.ts';

const origin = { object: 'test', path: '' };

function rule(stage: StageName, match: Match, steps: readonly Step[], id = stage): Rule {
  return makeRule(stage, { id, priority: 1, match, steps, origin });
}

function walk(rules: readonly Rule[], key = newKey()): Translation {
  const out = new Translation();
  translate(new Pipeline(rules), key, 0, out);
  return out;
}

const text = (out: Translation) => formatActions(out.actions, 0, out.actionCount);
const port = (number: number) => new Match().number('in_port', number);
const admitAll = rule('classify', new Match(), [{ kind: 'goto', stage: 'deliver' }]);

describe('a walk', () => {
  test('without rules drops in the first stage that drops on a miss', () => {
    const out = walk([]);
    expect(out.dropReason).toBe(dropReason.UnknownPort);
    expect(text(out)).toBe('drop(unknown_port)');
    expect(out.decision).toBe(decisionOf('classify/miss'));
    expect(out.cacheable).toBe(true);
    expect([...out.mask].every((word) => word === 0)).toBe(true);
  });

  test('collects actions across stages and names the last rule as its decision', () => {
    const first = rule('classify', new Match(), [
      { kind: 'set', register: register.sourceId, value: 9 },
      { kind: 'set', register: register.tagged, value: 1 },
      { kind: 'goto', stage: 'deliver' },
    ]);
    const last = rule('deliver', new Match().register('tagged', 1), [
      { kind: 'untag' },
      { kind: 'actions', words: action.outputTunnel(3, 100, 0), sourceIdAt: 3 },
      { kind: 'done' },
    ]);
    const out = walk([first, last]);
    expect(text(out)).toBe('pop_vlan,output_tunnel(3,vni=100)');
    expect(out.actions[4]).toBe(9);
    expect(out.decision).toBe(last.decision);
    expect(out.rules[0]).toBe(first);
    expect(out.rules.at(-1)).toBe(last);
  });

  test('starts afresh each time', () => {
    const out = new Translation();
    const pipeline = new Pipeline([
      rule('classify', port(1), [
        { kind: 'set', register: register.network, value: 5 },
        { kind: 'learn' },
        { kind: 'once' },
        { kind: 'actions', words: action.output(2) },
        { kind: 'done' },
      ]),
    ]);
    const key = newKey();
    setNumber(key, 0, field.in_port, 1);
    translate(pipeline, key, 0, out);
    expect([out.learn, out.cacheable, out.dropReason]).toEqual([true, false, 0]);
    translate(pipeline, newKey(), 0, out);
    expect([out.learn, out.cacheable]).toEqual([false, true]);
    expect(out.dropReason).toBe(dropReason.UnknownPort);
    expect(out.key[register.network]).toBe(0);
  });

  test('reads its key wherever it lies', () => {
    const memory = new Uint32Array(100).fill(0xffffffff);
    memory.fill(0, 40, 40 + flowKeyWords);
    setNumber(memory, 40, field.in_port, 6);
    const out = new Translation();
    translate(
      new Pipeline([rule('classify', port(6), [{ kind: 'reply' }, { kind: 'done' }])]),
      memory,
      40,
      out,
    );
    expect(text(out)).toBe('output(6)');
  });

  test('a reply un-wildcards the port that it goes back to', () => {
    const out = walk([rule('classify', new Match(), [{ kind: 'reply' }, { kind: 'done' }])]);
    expect(out.mask[0]).toBe(0xffffffff);
  });

  test('commits a connection that is new, and looks at nothing else of its state', () => {
    const commit = rule('classify', new Match(), [
      { kind: 'commit' },
      { kind: 'goto', stage: 'deliver' },
    ]);
    const done: Step = { kind: 'done' };
    const last = [
      rule('deliver', new Match().register('commit', 1), [
        { kind: 'actions', words: action.ctCommit(5) },
        done,
      ]),
      rule(
        'deliver',
        new Match().register('commit', 0),
        [{ kind: 'actions', words: action.output(1) }, done],
        'commit',
      ),
    ];
    const state = (bits: number) => {
      const key = newKey();
      setNumber(key, 0, field.ct_state, bits);
      return walk([commit, ...last], key);
    };
    expect(text(state(ctState.new | ctState.tracked))).toBe('ct_commit(5)');
    expect(text(state(ctState.est | ctState.tracked))).toBe('output(1)');
    expect(getNumber(state(0).mask, 0, field.ct_state)).toBe(ctState.new);
  });

  test('replicates to the kinds of ports that may have it, and not to the sender alone', () => {
    const group = (number: number) => action.outputGroup(number, 100, 0);
    const receivers: Receivers = {
      all: group(1),
      kinds: [
        { words: group(2), only: 0 },
        { words: group(3), only: localLocation(7) },
      ],
      others: group(4),
      sourceIdAt: 3,
    };
    const fates = [0, 1, 3, everyReceiver].map((value) =>
      text(
        walk([
          rule('classify', new Match(), [
            { kind: 'set', register: register.receivers, value },
            { kind: 'set', register: register.source, value: localLocation(7) },
            { kind: 'receivers', receivers },
            { kind: 'done' },
          ]),
        ]),
      ).replaceAll(',vni=100', ''),
    );
    expect(fates).toEqual([
      'output_group(4)',
      'output_group(2),output_group(4)',
      'output_group(2),output_group(4)',
      'output_group(1)',
    ]);
  });

  test('a drop takes back the actions before it', () => {
    const out = walk([
      rule('classify', new Match(), [
        { kind: 'actions', words: action.output(2) },
        { kind: 'drop', reason: dropReason.AclDeny },
      ]),
    ]);
    expect(text(out)).toBe('drop(acl_deny)');
  });

  test('that ends without an action drops with no_output', () => {
    const out = walk([admitAll, rule('deliver', new Match(), [{ kind: 'done' }])]);
    expect(out.dropReason).toBe(dropReason.NoOutput);
    expect(walk([admitAll]).dropReason).toBe(dropReason.NoOutput);
  });

  test('that takes too many steps, or too many actions, drops with translate_limit', () => {
    const steps = (step: Step, count: number): Step[] => Array.from({ length: count }, () => step);
    const long = rule('classify', new Match(), steps({ kind: 'learn' }, translateStepsMax));
    expect(walk([long]).dropReason).toBe(dropReason.TranslateLimit);
    const output: Step = { kind: 'actions', words: action.output(1) };
    const wide = rule('classify', new Match(), [...steps(output, 33), { kind: 'done' }]);
    expect(walk([wide]).dropReason).toBe(dropReason.TranslateLimit);
    const fits = rule('classify', new Match(), [...steps(output, 32), { kind: 'done' }]);
    expect(walk([fits]).actionCount).toBe(64);
  });
});

describe('the mask of a walk', () => {
  const steps: fc.Arbitrary<readonly Step[]> = fc.oneof(
    fc.constant([]),
    fc.constant([{ kind: 'drop', reason: dropReason.AclDeny }] as const),
    fc.nat(2).map((value): Step[] => [{ kind: 'set', register: register.network, value }]),
    fc.nat(2).map((value): Step[] => [{ kind: 'set', register: register.source, value }]),
    fc.nat(5).map((number): Step[] => [{ kind: 'actions', words: action.output(number) }]),
    fc.constant([{ kind: 'reply' }] as const),
    fc.constant([{ kind: 'goto', stage: 'deliver' }] as const),
  );
  const noBackward = steps.filter((list) => list[0]?.kind !== 'goto');
  // The policy's stages have a test of their own.
  const tables = stages.filter(({ name }) => !name.endsWith('-policy'));
  const pipelines = fc
    .tuple(
      ...tables.map(({ name }) => arbitraryRules(name, name === 'deliver' ? noBackward : steps)),
    )
    .map((lists) => new Pipeline(lists.flat()));
  const verdict = (pipeline: Pipeline, key: Uint32Array, out: Translation) => {
    translate(pipeline, key, 0, out);
    return out;
  };

  test('keeps its promise: flipping a bit that it leaves wild changes nothing', () => {
    const flipped = new Translation();
    fc.assert(
      fc.property(pipelines, arbitraryKey(), (pipeline, key) => {
        const out = verdict(pipeline, key, new Translation());
        for (const [word, bit] of wildBits(out.mask, flowKeyWords)) {
          const other = key.slice();
          other[word] = other[word]! ^ (1 << bit);
          verdict(pipeline, other, flipped);
          if (!sameVerdict(out, flipped)) throw new Error(`bit ${bit} of word ${word} mattered`);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('makes the masked key translate to the same verdict', () => {
    fc.assert(
      fc.property(pipelines, arbitraryKey(), (pipeline, key) => {
        const out = verdict(pipeline, key, new Translation());
        const masked = key.map((word, index) => word & out.mask[index]!);
        expect(sameVerdict(verdict(pipeline, masked, new Translation()), out)).toBe(true);
      }),
    );
  });
});

function sameVerdict(one: Translation, other: Translation): boolean {
  return (
    one.decision === other.decision &&
    one.dropReason === other.dropReason &&
    one.actionCount === other.actionCount &&
    sameWords(
      one.actions.subarray(0, one.actionCount),
      other.actions.subarray(0, one.actionCount),
    ) &&
    sameWords(one.mask.subarray(0, flowKeyWords), other.mask.subarray(0, flowKeyWords))
  );
}
