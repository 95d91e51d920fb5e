// model/source.test.ts — text to value, and from a field back to its place in the text.

import { describe, expect, test } from 'vitest';
import { type Path, readSource } from '../../../src/model/source.ts';

function place(text: string, path: Path, atKey = false): string {
  const source = readSource(text);
  if ('findings' in source) throw new Error(source.findings[0]?.message);
  const position = source.locate({ path, message: '', expected: '', atKey });
  return `${position?.line}:${position?.column}`;
}

describe('a field is found', () => {
  const block = 'a:\n  - b: 1\n    "c": [x, yy]\n  - &d\n    e: |\n      text\nf: *d\n';
  test.each<[Path, string]>([
    [[], '1:1'],
    [['a'], '2:3'],
    [['a', 0, 'b'], '2:8'],
    [['a', 0, 'c', 1], '3:14'],
    [['a', 1, 'e'], '5:8'],
    [['f'], '7:4'],
    [['f', 'e'], '5:8'],
  ])('in YAML: %j at %s', (path, where) => expect(place(block, path)).toBe(where));

  test.each<[Path, string]>([
    [['a', 0], '2:4'],
    [['a', 1, 'b'], '3:9'],
  ])('in JSON: %j at %s', (path, where) => {
    expect(place('{"a": [\n   1,\n  {"b": 2}]}', path)).toBe(where);
  });

  test('at its name when the name is what is wrong', () => {
    expect(place('a:\n  bad: 1\n', ['a', 'bad'], true)).toBe('2:3');
  });

  test('at the nearest thing around it when it is missing', () => {
    expect(place('a:\n  - b: 1\n', ['a', 0, 'none'])).toBe('2:5');
    expect(place('a:\n  - b: 1\n', ['a', 0, 'b', 'deeper'])).toBe('2:8');
    expect(place('a: 1\n', ['none'])).toBe('1:1');
  });
});

describe('numbers', () => {
  test('are decimal: what looks octal or hexadecimal is not converted', () => {
    const source = readSource('a: 0660\nb: 0o660\nc: 0x10\nd: 1e3\n');
    expect(source).toMatchObject({ value: { a: 660, b: '0o660', c: '0x10', d: 1000 } });
  });
});

describe('words', () => {
  test('of YAML 1.1 are only text', () => {
    const source = readSource('[yes, no, on, off, true, null, ~, 2026-01-01, 12:30:45]');
    const value = ['yes', 'no', 'on', 'off', true, null, null, '2026-01-01', '12:30:45'];
    expect(source).toMatchObject({ value });
  });
});

describe('JSON', () => {
  test('with a name that is escaped twice is refused as repeated', () => {
    const source = readSource('{"a": 1, "\\u0061": 2}');
    expect('findings' in source && source.findings[0]?.message).toBe('the field is given twice');
  });

  test('may have one name in many objects, and text that looks like names', () => {
    const text = '{"a": {"a": 1}, "b": [{"a": "\\"a\\": {"}, {"a": "}"}], "c": "a"}';
    expect(readSource(text)).toMatchObject({ value: JSON.parse(text) });
  });

  test('of a million entries is read without recursion', () => {
    const text = JSON.stringify({ a: Array.from({ length: 1e6 }, () => 'text') });
    expect('value' in readSource(text)).toBe(true);
  });
});
