// pipeline/classifier.test.ts — tuple-space search against a walk through all rules.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseMatch } from '../../../src/flow/key-text.ts';
import { Classifier } from '../../../src/pipeline/classifier.ts';
import { pipelineKeyWords } from '../../../src/pipeline/registers.ts';
import { newPipelineKey, type Rule } from '../../../src/pipeline/rule.ts';
import {
  arbitraryKey,
  arbitraryRules,
  linearSearch,
  makeTestRule,
  sameWords,
  wildBits,
} from './arbitrary.ts';

const noSteps = fc.constant([]);

function classifierOf(rules: readonly Rule[]): Classifier {
  const classifier = new Classifier();
  for (const rule of rules) classifier.add(rule);
  return classifier;
}

function matchOf(text: string): { key: Uint32Array; mask: Uint32Array } {
  const { key, mask } = parseMatch(text);
  const wide = { key: newPipelineKey(), mask: newPipelineKey() };
  wide.key.set(key);
  wide.mask.set(mask);
  return wide;
}

describe('a lookup', () => {
  test('finds what a linear scan finds, before and after rules are removed', () => {
    const half = fc.array(fc.boolean(), { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(
        arbitraryRules('l2', noSteps),
        fc.array(arbitraryKey()),
        half,
        (rules, keys, out) => {
          const classifier = classifierOf(rules);
          const check = (left: readonly Rule[]) => {
            for (const key of keys) {
              const found = classifier.lookup(key, newPipelineKey());
              expect(found?.id).toBe(linearSearch(left, key)?.id);
            }
            expect(classifier.size).toBe(left.length);
          };
          check(rules);
          for (const rule of rules.filter((_, index) => out[index])) {
            expect(classifier.remove(rule)).toBe(true);
          }
          check(rules.filter((_, index) => !out[index]));
        },
      ),
    );
  });

  test('says the same when any bit that its mask leaves wild is flipped', () => {
    fc.assert(
      fc.property(arbitraryRules('l2', noSteps), arbitraryKey(), (rules, key) => {
        const classifier = classifierOf(rules);
        const mask = newPipelineKey();
        const found = classifier.lookup(key, mask);
        for (const [word, bit] of wildBits(mask, pipelineKeyWords)) {
          const flipped = key.slice();
          flipped[word] = flipped[word]! ^ (1 << bit);
          const flippedMask = newPipelineKey();
          const same =
            classifier.lookup(flipped, flippedMask) === found && sameWords(flippedMask, mask);
          if (!same) throw new Error(`bit ${bit} of word ${word} mattered and was left wild`);
        }
      }),
    );
  });

  test('does not depend on the order in which rules were added', () => {
    fc.assert(
      fc.property(arbitraryRules('l2', noSteps), arbitraryKey(), (rules, key) => {
        const one = [newPipelineKey(), newPipelineKey()] as const;
        const found = classifierOf(rules).lookup(key, one[0]);
        expect(classifierOf([...rules].reverse()).lookup(key, one[1])).toBe(found);
        expect(one[1]).toEqual(one[0]);
      }),
    );
  });

  test('keeps what was in the mask before', () => {
    const mask = newPipelineKey().fill(0x80000000);
    classifierOf([makeTestRule('l2', 'a', 1, matchOf('in_port=1'))]).lookup(newPipelineKey(), mask);
    expect(mask[0]).toBe(0xffffffff);
    expect(mask[5]).toBe(0x80000000);
  });
});

describe('un-wildcarding', () => {
  const lookupMask = (rules: readonly Rule[], key: string) => {
    const mask = newPipelineKey();
    classifierOf(rules).lookup(matchOf(key).key, mask);
    return mask;
  };

  test('ends when no later subtable has a higher priority', () => {
    const rules = [
      makeTestRule('l2', 'high', 10, matchOf('eth_dst=01:00:00:00:00:00/01:00:00:00:00:00')),
      makeTestRule('l2', 'low', 5, matchOf('ip_src=10.0.0.1')),
    ];
    const mask = lookupMask(rules, 'eth_dst=ff:ff:ff:ff:ff:ff,ip_src=10.0.0.1');
    expect([...mask].filter((word) => word !== 0)).toEqual([1]);
  });

  test('a rule that fails in a coarse segment leaves the finer ones wild', () => {
    const rules = [
      makeTestRule('port-address', 'dhcp', 10, matchOf('eth_type=ip,ip_proto=17,tp_src=68')),
      makeTestRule('port-address', 'arp', 10, matchOf('eth_type=arp,arp_sha=02:00:00:00:00:01')),
    ];
    const tcp = lookupMask(rules, 'eth_type=ip,ip_proto=6,tp_src=1000');
    const wanted = matchOf('eth_type=ip,ip_proto=6').mask;
    expect(tcp).toEqual(wanted);
    const udp = lookupMask(rules, 'eth_type=ip,ip_proto=17,tp_src=1000');
    expect(udp).toEqual(matchOf('eth_type=ip,ip_proto=17,tp_src=1').mask);
  });
});

describe('rules', () => {
  test('with one match rank by priority, and the next one shows when the first goes', () => {
    const high = makeTestRule('l2', 'high', 9, matchOf('in_port=1'));
    const low = makeTestRule('l2', 'low', 3, matchOf('in_port=1'));
    const classifier = classifierOf([low, high]);
    const key = matchOf('in_port=1').key;
    expect(classifier.lookup(key, newPipelineKey())).toBe(high);
    classifier.remove(high);
    expect(classifier.lookup(key, newPipelineKey())).toBe(low);
    expect(classifier.remove(high)).toBe(false);
    classifier.remove(low);
    expect(classifier.lookup(key, newPipelineKey())).toBeUndefined();
    expect(classifier.subtableCount).toBe(0);
    expect(classifier.size).toBe(0);
  });

  test('come and go by the thousand in one subtable', () => {
    const rules = Array.from({ length: 5000 }, (_, index) =>
      makeTestRule('l2', `${index}`, 1, matchOf(`in_port=${index + 1},tp_src=${index % 7}`)),
    );
    const classifier = classifierOf(rules);
    for (const rule of rules.filter((_, index) => index % 3 === 0)) classifier.remove(rule);
    for (const [index, rule] of rules.entries()) {
      const found = classifier.lookup(rule.key, newPipelineKey());
      expect(found).toBe(index % 3 === 0 ? undefined : rule);
    }
  });
});
