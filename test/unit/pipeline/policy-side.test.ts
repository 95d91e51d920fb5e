// pipeline/policy-side.test.ts — tables by address list, chosen by the classes of an address.

import { expect, test } from 'vitest';
import { AddressClasses, noClass } from '../../../src/pipeline/address-index.ts';
import { builtIn, Match, makeRule } from '../../../src/pipeline/match.ts';
import {
  everyone,
  groupList,
  type PolicyRule,
  ruleBlock,
  setList,
} from '../../../src/pipeline/policy.ts';
import { BlockTables, PolicySide } from '../../../src/pipeline/policy-side.ts';
import { portMax } from '../../../src/pipeline/service-table.ts';

const rule = (remote: PolicyRule['remote'], rank = 0): PolicyRule => ({
  ...{ direction: 'egress', remote, protocol: 6, first: 0, last: portMax, rank, allow: true },
  rule: makeRule('egress-policy', {
    ...{ id: JSON.stringify(remote), priority: 0, match: new Match(), steps: [], origin: builtIn },
  }),
});

const block = new BlockTables(
  ruleBlock([
    rule({ 4: everyone, 6: everyone }),
    rule({ 4: setList('s'), 6: setList('s') }, 3),
    rule({ 4: '10.0.0.1' }),
    rule({ 4: groupList('g') }),
  ]),
);
const numbers = new Map([setList('s'), '10.0.0.1', groupList('g')].map((list, at) => [list, at]));

test('a block has a table for each list, by direction and family', () => {
  expect([...block.lists]).toEqual([setList('s'), '10.0.0.1', groupList('g')]);
  expect([...block.tables('egress', 6).keys()]).toEqual([everyone, setList('s')]);
  expect(block.tables('ingress', 4).size).toBe(0);
});

test('a side gives the tables of the lists that an address is in', () => {
  const classes = new AddressClasses();
  const side = new PolicySide('egress', [[block]], classes, (list) => numbers.get(list));
  const [four, six] = [side.four[0]!, side.six[0]!];
  expect([four.open.length, four.rankMax, four.asksLists, four.asksMembers]).toEqual([
    1,
    3,
    true,
    true,
  ]);
  expect([six.open.length, six.rankMax, six.asksLists, six.asksMembers]).toEqual([
    1,
    3,
    true,
    false,
  ]);
  const inSet = classes.extended(noClass, [0]);
  const inGroup = classes.extended(noClass, [2]);
  const tables = block.tables('egress', 4);
  expect(four.closed(noClass, noClass)).toEqual([]);
  expect(four.closed(inSet, noClass)).toEqual([tables.get(setList('s'))]);
  expect(four.closed(inSet, inGroup)).toEqual([
    tables.get(setList('s')),
    tables.get(groupList('g')),
  ]);
  expect(four.closed(inSet, inGroup)).toBe(four.closed(inSet, inGroup));
  side.forgetClasses();
  expect(four.closed(inSet, noClass)).toEqual([tables.get(setList('s'))]);
});

test('a tier without rules for its direction asks nothing', () => {
  const side = new PolicySide('ingress', [[block]], new AddressClasses(), () => 1);
  expect([side.four[0]!.open, side.four[0]!.rankMax]).toEqual([[], -1]);
});
