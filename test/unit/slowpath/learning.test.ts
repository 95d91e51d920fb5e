// slowpath/learning.test.ts — what is learned, moved, limited, forgotten, and who is told.

import { beforeEach, describe, expect, test } from 'vitest';
import { field, setBytes } from '../../../src/flow/key.ts';
import type { LearningNetwork } from '../../../src/pipeline/learned.ts';
import { Pipeline } from '../../../src/pipeline/pipeline.ts';
import { localLocation, register, tunnelLocation } from '../../../src/pipeline/registers.ts';
import { Translation } from '../../../src/pipeline/translate.ts';
import { Learning } from '../../../src/slowpath/learning.ts';

const here = localLocation(1);
const there = tunnelLocation(2);
const network: LearningNetwork = {
  name: 'n',
  vni: 7,
  limitPerPort: 2,
  agingSeconds: 60,
  locations: new Set([here, there]),
};

let pipeline: Pipeline;
let learning: Learning;
let told: string[];

function walk(last: number, location: number, vni = 7): Translation {
  const out = new Translation();
  out.learn = true;
  out.key[register.network] = vni;
  out.key[register.source] = location;
  setBytes(out.key, 0, field.eth_src, Uint8Array.of(2, 0, 0, 0, 0, last));
  return out;
}

const learned = () => [...learning.entries()].map(({ mac, location }) => [mac[5], location]);

beforeEach(() => {
  pipeline = new Pipeline();
  told = [];
  learning = new Learning(pipeline, {
    addressChanged: (mac) => told.push(`${mac[5]}`),
    everythingChanged: () => told.push('all'),
  });
  learning.setNetworks(new Map([[7, network]]));
});

describe('an address', () => {
  test('is learned with two rules, and revalidation is told', () => {
    expect(learning.learn(walk(1, here), 0)).toBe(true);
    expect(learned()).toEqual([[1, here]]);
    expect(pipeline.ruleCount).toBe(2);
    expect(told).toEqual(['1']);
  });

  test('moves: one entry, two rules, two changes to look at', () => {
    learning.learn(walk(1, here), 0);
    expect(learning.learn(walk(1, there), 0)).toBe(true);
    expect(learned()).toEqual([[1, there]]);
    expect(pipeline.ruleCount).toBe(2);
  });

  test('is forgotten after the aging time, counted from its last use', () => {
    learning.learn(walk(1, here), 0);
    learning.learn(walk(2, there), 0);
    const rule = pipeline.rule('learn/7/learned/020000000001');
    learning.touch(rule, 30_000);
    learning.touch(rule, 10_000);
    learning.touch(undefined, 99_999);
    expect(learning.expire(60_000)).toBe(0);
    expect(learning.expire(60_001)).toBe(1);
    expect(learned()).toEqual([[1, here]]);
    expect(learning.expire(90_001)).toBe(1);
    expect(pipeline.ruleCount).toBe(0);
  });

  test('is not learned unasked, where no network learns, or from where none may be', () => {
    const unasked = walk(1, here);
    unasked.learn = false;
    expect(learning.learn(unasked, 0)).toBe(false);
    expect(learning.learn(walk(1, here, 8), 0)).toBe(false);
    expect(learning.learn(walk(1, localLocation(9)), 0)).toBe(false);
    expect(pipeline.ruleCount).toBe(0);
  });
});

describe('a location at its limit', () => {
  test('learns no more, and gets one rule that says so', () => {
    learning.learn(walk(1, here), 0);
    learning.learn(walk(2, here), 0);
    expect(learning.learn(walk(3, here), 0)).toBe(false);
    expect(pipeline.ruleCount).toBe(5);
    expect(learning.learn(walk(3, there), 0)).toBe(true);
  });

  test('has room again when one is forgotten, and then any flow may be wrong', () => {
    learning.learn(walk(1, here), 0);
    learning.learn(walk(2, here), 50_000);
    learning.expire(60_001);
    expect(pipeline.ruleCount).toBe(2);
    expect(told.at(-1)).toBe('1');
    expect(told).toContain('all');
    expect(learning.learn(walk(3, here), 60_001)).toBe(true);
  });
});

describe('when networks change', () => {
  test('nothing is forgotten that may still be', () => {
    learning.learn(walk(1, here), 0);
    learning.setNetworks(new Map([[7, { ...network, agingSeconds: 5 }]]));
    expect(learning.size).toBe(1);
    expect(learning.agingMs).toBe(5000);
  });

  test.each([
    ['a network that is gone', new Map()],
    ['a location that is gone', new Map([[7, { ...network, locations: new Set([there]) }]])],
    ['another limit', new Map([[7, { ...network, limitPerPort: 1 }]])],
  ])('%s takes its addresses along', (_, networks) => {
    learning.learn(walk(1, here), 0);
    learning.learn(walk(2, here), 0);
    learning.setNetworks(networks);
    expect(learning.size).toBe(0);
    expect(pipeline.ruleCount).toBe(0);
  });

  test('no network that learns has no aging time', () => {
    learning.setNetworks(new Map());
    expect(learning.agingMs).toBeUndefined();
  });
});
