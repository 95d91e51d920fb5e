// rules/numbering.test.ts — a name keeps its number, whatever else comes and goes.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../../src/rules/compile.ts';
import { Numbering, numberMax } from '../../../src/rules/numbering.ts';
import { example } from './network.ts';

const kinds = ['devices', 'tunnels', 'groups', 'logicalPorts'] as const;

describe('numbers', () => {
  test('stay with their names and are never shared', () => {
    const step = fc.tuple(fc.constantFrom(...kinds), fc.nat(20), fc.boolean());
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const numbering = new Numbering();
        const held = new Map<string, number>();
        for (const [kind, index, release] of steps) {
          const name = `name${index}`;
          if (release) {
            numbering.release(kind, name);
            held.delete(`${kind}/${name}`);
          } else {
            const number = numbering.number(kind, name);
            expect(number).toBe(held.get(`${kind}/${name}`) ?? number);
            expect(number).toBeGreaterThan(0);
            expect(numbering.name(kind, number)).toBe(name);
            held.set(`${kind}/${name}`, number);
          }
        }
        for (const kind of kinds) {
          const numbers = [...numbering.names(kind)].map((name) => numbering.find(kind, name));
          expect(new Set(numbers).size).toBe(numbers.length);
        }
      }),
    );
  });

  test('of groups are found again by a numbering that was told nothing', () => {
    const names = Array.from({ length: 200 }, (_, index) => `n${index}/all`);
    const one = new Numbering();
    const two = new Numbering();
    const numbers = names.map((name) => one.number('groups', name));
    const again = [...names].reverse().map((name) => two.number('groups', name));
    const same = again.reverse().filter((number, index) => number === numbers[index]);
    expect(same.length).toBeGreaterThan(190);
  });

  test('survive in a snapshot', () => {
    const one = new Numbering();
    compile(example('trunk.yaml'), { host: 'h1', numbering: one });
    const two = new Numbering();
    two.restore(JSON.parse(JSON.stringify(one.snapshot())));
    expect(two.snapshot()).toEqual(one.snapshot());
  });

  test('are seeded unless they contradict', () => {
    const numbering = new Numbering();
    expect(numbering.seed('devices', 'p1', 7)).toBe(true);
    expect(numbering.seed('devices', 'p1', 7)).toBe(true);
    expect(numbering.seed('devices', 'p2', 7)).toBe(false);
    expect(numbering.seed('devices', 'p1', 8)).toBe(false);
    expect(numbering.seed('devices', 'p3', 0)).toBe(false);
    expect(numbering.seed('devices', 'p3', numberMax.devices)).toBe(false);
    expect(numbering.number('devices', 'p1')).toBe(7);
    expect(numbering.number('devices', 'p2')).toBe(1);
  });

  test.each(['devices', 'groups'] as const)('of %s run out by name', (kind) => {
    const numbering = new Numbering();
    for (let index = 1; index < numberMax[kind]; index += 1) numbering.number(kind, `${index}`);
    expect(() => numbering.number(kind, 'last')).toThrow(
      expect.objectContaining({ code: 'ERR_LIMIT', message: expect.stringContaining('last') }),
    );
    numbering.release(kind, '17');
    const number = numbering.number(kind, 'last');
    expect(number).toBeLessThan(numberMax[kind]);
  });
});
