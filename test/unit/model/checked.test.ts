// model/checked.test.ts — names that are looked up, and entries that stand twice.

import { describe, expect, test } from 'vitest';
import { type Checked, nameFinder, unique, uniqueEntries } from '../../../src/model/checked.ts';
import { documentFromValue } from '../../../src/model/parse.ts';

function checking(names: string[]) {
  const document = documentFromValue({
    networks: names.map((name, vni) => ({ name, vni: vni + 1 })),
  });
  const lines: string[] = [];
  const report: Checked['report'] = (path, message) => lines.push(`${path.join('.')}: ${message}`);
  const checked: Checked = { document, report, known: nameFinder(document, report) };
  return { checked, lines };
}

describe('a name', () => {
  test('that is there is known, and nothing is said', () => {
    const { checked, lines } = checking(['blue']);
    expect(checked.known('networks', 'blue', ['x'])).toBe(true);
    expect(lines).toEqual([]);
  });

  test('that is not there gets a suggestion, up to a hundred times', () => {
    const { checked, lines } = checking(['blue']);
    for (let count = 0; count < 101; count += 1) {
      expect(checked.known('networks', 'bleu', [count])).toBe(false);
    }
    expect(lines[99]).toBe('99: there is no network "bleu" (did you mean "blue"?)');
    expect(lines[100]).toBe('100: there is no network "bleu"');
  });
});

test('the first owner of a key keeps it, and is named to all others', () => {
  const { checked, lines } = checking([]);
  const owners = new Map<string, string>();
  for (const owner of ['a', 'b', 'c']) {
    unique(checked, owners, { key: 'k', owner, path: [owner], message: 'taken', expected: 'e' });
  }
  expect(lines).toEqual(['b: taken by a', 'c: taken by a']);
});

test('an entry is reported each time it stands again', () => {
  const { checked, lines } = checking([]);
  uniqueEntries(checked, ['x', 'y', 'x', 'x'], ['list']);
  expect(lines).toEqual(['list.2: "x" is in the list twice', 'list.3: "x" is in the list twice']);
});
