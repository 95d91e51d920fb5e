// pipeline/stages.test.ts — one ordered list, and names that find their places.

import { expect, test } from 'vitest';
import { dropReason } from '../../../src/flow/drop-reasons.ts';
import { stageIndex, stages } from '../../../src/pipeline/stages.ts';

test('a packet is classified first, checked before it is switched, and delivered last', () => {
  const order = stages.map(({ name }) => name);
  expect(order[0]).toBe('classify');
  expect(order.at(-1)).toBe('deliver');
  const security = ['port-mac', 'port-address', 'port-nd', 'tunnel-source'] as const;
  for (const name of security) {
    expect(stageIndex[name]).toBeLessThan(stageIndex.learn);
    expect(stageIndex[name]).toBeLessThan(stageIndex.l2);
  }
  for (const { name, index } of stages) expect(stageIndex[name]).toBe(index);
});

test('stages that must find something drop by name, the others hand on', () => {
  const dropping = stages.filter(({ missReason }) => missReason !== undefined);
  expect(dropping.map(({ name, missReason }) => [name, missReason])).toEqual([
    ['classify', dropReason.UnknownPort],
    ['l2', dropReason.UnknownMac],
    ['l2-learned', dropReason.UnknownMac],
    ['deliver', dropReason.NoOutput],
  ]);
});
