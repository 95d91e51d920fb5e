// cli/output.test.ts — aligned tables, and values that scripts can read.

import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { facts, fold, inline, stacked, structured, table } from '../../../src/cli/output.ts';

describe('tables', () => {
  it('are aligned without lines, numbers to the right', async () => {
    const columns = [{ head: 'NAME' }, { head: 'N', isNumber: true }, { head: 'WHY' }];
    const text = await table(columns, [
      ['one', '1', ''],
      ['a longer one', '1000', 'because'],
    ]);
    expect(text).toBe(
      ['NAME             N  WHY', 'one              1', 'a longer one  1000  because', ''].join(
        '\n',
      ),
    );
  });

  it('keep a cell on one line, and colours out of the widths', async () => {
    const columns = [{ head: 'A' }, { head: 'B' }];
    const text = await table(columns, [
      ['x\ny', 'z'],
      ['\u001b[32mgreen\u001b[0m', 'z'],
    ]);
    expect(text.split('\n').slice(1)).toEqual(['x y    z', '\u001b[32mgreen\u001b[0m  z', '']);
  });

  it('of facts align the values', () => {
    expect(
      facts([
        ['a', '1'],
        ['long', '2'],
      ]),
    ).toBe('a     1\nlong  2\n');
  });
});

describe('in a terminal', () => {
  it('texts are folded after commas and spaces, and what goes on is indented', () => {
    expect(fold('in_port=c1,eth_src=02,eth_dst=03, then', 20)).toEqual([
      'in_port=c1,',
      '  eth_src=02,',
      '  eth_dst=03, then',
    ]);
    expect(fold('short', 20)).toEqual(['short']);
    expect(fold('one_word_that_is_too_long', 5)).toEqual(['one_word_that_is_too_long']);
    expect(fold('', 5)).toEqual(['']);
  });

  it('no line is longer than the terminal, if its words are not', async () => {
    const text = 'a,'.repeat(200);
    const rows = [
      { cells: ['\u001b[36mone\u001b[0m', '1'], texts: ['first', text] },
      { cells: ['two', '1000'], texts: ['', 'only'] },
    ];
    const columns = [{ head: 'NAME' }, { head: 'N', isNumber: true }, { head: 'TEXT' }];
    const lines = (await stacked(columns, rows, 60)).trimEnd().split('\n');
    expect(lines.slice(0, 3)).toEqual([
      'NAME     N  TEXT',
      '\u001b[36mone\u001b[0m      1  first',
      `            ${'a,'.repeat(24)}`,
    ]);
    expect(lines.at(-1)).toBe('two   1000  only');
    expect(Math.max(...lines.slice(2).map((line) => line.length))).toBeLessThanOrEqual(60);
    expect(lines.join('').match(/a,/g)).toHaveLength(200);
  });

  it('values of facts are folded behind their names', () => {
    expect(facts([['key', 'aaaa,bbbb,cccc']], 12)).toBe('key  aaaa,\n       bbbb,\n       cccc\n');
  });
});

describe('values', () => {
  it('are the same in JSON and YAML', async () => {
    const value = { list: [1, 'yes', null], gone: undefined, text: 'a: b', mac: '02:00' };
    const json = JSON.parse(await structured(value, 'json'));
    expect(json).toEqual({ list: [1, 'yes', null], text: 'a: b', mac: '02:00' });
    expect(parse(await structured(value, 'yaml'))).toEqual(json);
  });

  it('fit a line', () => {
    expect(inline([1, [2, { a: 3, b: 'c' }], null])).toBe('1, 2, a: 3, b: c, ');
    expect(inline(undefined)).toBe('');
    expect(inline(false)).toBe('false');
  });
});
