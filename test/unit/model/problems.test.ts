// model/problems.test.ts — how paths and values read in a message.

import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { pathText, schemaFindings, show, toProblems } from '../../../src/model/problems.ts';

test('a path is written as in code', () => {
  expect(pathText([])).toBe('');
  expect(pathText(['ports', 2, 'ips', 0])).toBe('ports[2].ips[0]');
  expect(pathText([0, 'name'])).toBe('[0].name');
});

test.each([
  ['text', '"text"'],
  ['a "b"\n', '"a \\"b\\"\\n"'],
  ['x'.repeat(100), `"${'x'.repeat(44)}...`],
  [1.5, '1.5'],
  [true, 'true'],
  [null, 'nothing'],
  [[1], 'a list'],
  [{ a: 1 }, 'a mapping'],
])('%j is shown as %s', (value, text) => expect(show(value)).toBe(text));

describe('what a schema refuses', () => {
  const schema = z.strictObject({
    size: z.union([z.literal('all'), z.strictObject({ from: z.number({ error: 'a number' }) })], {
      error: 'all, or a mapping with from',
    }),
  });
  const findings = (value: unknown) => {
    const result = schema.safeParse(value);
    return result.success ? [] : schemaFindings(result.error, value);
  };

  test('in one of several alternatives is said about the one that was meant', () => {
    expect(findings({ size: { from: 'x' } })).toEqual([
      { path: ['size', 'from'], message: 'found "x"', expected: 'a number' },
    ]);
    expect(findings({ size: 'none' })).toEqual([
      { path: ['size'], message: 'found "none"', expected: 'all, or a mapping with from' },
    ]);
  });

  test('tells what is missing from what is empty', () => {
    expect(findings({})[0]?.message).toBe('the field is missing');
    expect(findings({ size: null })[0]?.message).toBe('the field is empty');
  });
});

test('problems stand in the order of the text, those without a place first', () => {
  const findings = ['c', 'a', 'b'].map((name) => ({ path: [name], message: 'm', expected: 'e' }));
  const places: Record<string, { line: number; column: number }> = {
    b: { line: 2, column: 9 },
    c: { line: 2, column: 1 },
  };
  const problems = toProblems(findings, 'f', ({ path }) => places[String(path[0])]);
  expect(problems.map(({ path, line }) => [path, line])).toEqual([
    ['a', undefined],
    ['c', 2],
    ['b', 2],
  ]);
});
