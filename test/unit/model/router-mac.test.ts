// model/router-mac.test.ts — one address for a router, on every host and for ever.

import { expect, test } from 'vitest';
import { parseMac } from '../../../src/lib/addresses.ts';
import { routerMacOf } from '../../../src/model/router-mac.ts';

test('the MAC of a router is the one that it is given', () => {
  expect(routerMacOf({ name: 'r1', mac: '02:00:00:00:00:fe' })).toBe('02:00:00:00:00:fe');
});

test('without one it is made of the name, the same in every version', () => {
  expect(routerMacOf({ name: 'r1' })).toBe('0e:21:48:86:76:c5');
  const made = ['r1', 'r2', 'tiers'].map((name) => routerMacOf({ name }));
  expect(new Set(made).size).toBe(3);
  for (const mac of made) expect(parseMac(mac)[0]! & 3).toBe(2);
});
