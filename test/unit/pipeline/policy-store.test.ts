// pipeline/policy-store.test.ts — one policy after another: what changes, and what is left alone.

import { describe, expect, test } from 'vitest';
import { formatCidr } from '../../../src/lib/addresses.ts';
import { builtIn, Match, makeRule } from '../../../src/pipeline/match.ts';
import {
  everyone,
  groupList,
  noPolicy,
  type Policy,
  type PolicyRule,
  type PortPolicy,
  ruleBlock,
  setList,
} from '../../../src/pipeline/policy.ts';
import { type PolicyEffects, PolicyStore } from '../../../src/pipeline/policy-store.ts';
import { portMax } from '../../../src/pipeline/service-table.ts';

const anyRule = (id: string) =>
  makeRule('ingress-policy', { id, priority: 0, match: new Match(), steps: [], origin: builtIn });

const allow = (list: string): PolicyRule => ({
  ...{ direction: 'ingress', remote: { 4: list }, protocol: 6, first: 0, last: portMax },
  ...{ rank: 0, allow: true, rule: anyRule(list) },
});

const fallback = { ingress: anyRule('no'), egress: anyRule('no-out') };
const port: PortPolicy = {
  ...{ basics: [], tiers: [['web']], stateful: true, domain: 'blue', fallback },
};
const addresses = (...list: string[]) => ({ addresses: new Set(list) });

const first: Policy = {
  blocks: new Map([
    ['web', ruleBlock([allow(setList('s')), allow(groupList('g')), allow('192.0.2.0/24')])],
  ]),
  lists: new Map([
    [setList('s'), addresses('10.0.0.1', '10.1.0.0/16')],
    [setList('unused'), addresses('10.9.0.0/16')],
  ]),
  members: new Map([['blue', new Map([[groupList('g'), addresses('10.0.0.2')]])]]),
  ports: new Map([[1, port]]),
  receivers: new Map(),
};

const texts = ({ everything, prefixes }: PolicyEffects) => [
  everything,
  prefixes.map(formatCidr).sort(),
];

function store(policy = first): PolicyStore {
  const made = new PolicyStore();
  made.set(policy);
  return made;
}

describe('a policy', () => {
  test('that is put in force the first time concerns everything', () => {
    expect(texts(new PolicyStore().set(first))[0]).toBe(true);
    const made = store();
    expect(made.port(1)?.policy).toBe(port);
    expect(made.port(2)).toBeUndefined();
    expect(made.ruleCount).toBe(3);
    // Lists that no rule refers to make no mask wider.
    expect(made.lists.four.size).toBe(3);
    expect(made.port(1)?.members.four.size).toBe(1);
  });

  test('that is the same, or says the same, concerns nothing', () => {
    const made = store();
    expect(made.set(first)).toEqual({ everything: false, prefixes: [] });
    expect(made.set({ ...first })).toEqual({ everything: false, prefixes: [] });
  });

  test('whose lists have changed concerns the addresses that came and went', () => {
    const made = store();
    const side = made.port(1)?.sides.ingress;
    const lists = new Map(first.lists).set(setList('s'), addresses('10.0.0.1', '10.0.0.9'));
    expect(texts(made.set({ ...first, lists }))).toEqual([false, ['10.0.0.9/32', '10.1.0.0/16']]);
    expect(made.port(1)?.sides.ingress).toBe(side);
    const members = new Map([['blue', new Map([[groupList('g'), addresses()]])]]);
    expect(texts(made.set({ ...first, lists, members }))).toEqual([false, ['10.0.0.2/32']]);
    const unused = new Map(lists).set(setList('unused'), addresses('10.8.0.0/16'));
    expect(texts(made.set({ ...first, lists: unused, members }))).toEqual([false, []]);
  });

  test('whose rules or ports have changed concerns everything', () => {
    const blocks = new Map([['web', ruleBlock([allow(everyone)])]]);
    const made = store();
    expect(texts(made.set({ ...first, blocks }))).toEqual([true, []]);
    expect(made.lists.four.size).toBe(0);
    expect(texts(made.set({ ...first, blocks, ports: new Map() }))).toEqual([true, []]);
    expect(made.port(1)).toBeUndefined();
    const receivers = new Map([[100, [1]]]);
    expect(texts(made.set({ ...first, blocks, ports: new Map(), receivers }))[0]).toBe(true);
  });

  test('leaves nothing behind when it is gone', () => {
    const made = store();
    made.set(noPolicy);
    expect([made.ruleCount, made.lists.four.size, made.lists.six.size]).toEqual([0, 0, 0]);
    expect(texts(made.set(first))[0]).toBe(true);
    expect(made.lists.four.size).toBe(3);
  });

  test('finds its rules by their decisions', () => {
    const made = store();
    expect(made.ruleOfDecision(anyRule('192.0.2.0/24').decision)?.id).toBe(
      'ingress-policy/192.0.2.0/24',
    );
    expect(made.ruleOfDecision(fallback.egress.decision)).toBe(fallback.egress);
    expect(made.ruleOfDecision(1)).toBeUndefined();
  });
});
