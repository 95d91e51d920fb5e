// pipeline/registers.test.ts — registers lie behind the key; locations keep their kinds apart.

import { expect, test } from 'vitest';
import { flowKeyWords } from '../../../src/flow/key.ts';
import {
  formatLocation,
  localLocation,
  locationFlood,
  locationKindMask,
  locationLocal,
  locationTunnel,
  pipelineKeyWords,
  register,
  registerNames,
  tunnelLocation,
} from '../../../src/pipeline/registers.ts';

test('every register has a word of its own behind the key', () => {
  const words = registerNames.map((name) => register[name]);
  expect(new Set(words).size).toBe(words.length);
  expect(Math.min(...words)).toBe(flowKeyWords);
  expect(Math.max(...words)).toBe(pipelineKeyWords - 1);
});

test('locations of different kinds never meet, and are shown by kind', () => {
  const kind = (location: number) => (location & locationKindMask) >>> 0;
  expect(kind(localLocation(0xffffff))).toBe(locationLocal);
  expect(kind(tunnelLocation(4095))).toBe(locationTunnel);
  expect(
    [localLocation(3), tunnelLocation(4), locationTunnel, locationFlood, 5].map(formatLocation),
  ).toEqual(['port(3)', 'tunnel(4)', 'tunnel', 'flood', '5']);
});
