// cli/output.ts — what every verb prints with: tables for people, JSON and YAML for scripts.
//
// Tables have no lines: columns are aligned by spaces, so that they can be cut and grepped.

import type { Context, Format } from './verb.ts';

export const formats: readonly Format[] = ['table', 'json', 'yaml'];

export interface Column {
  readonly head: string;
  readonly isNumber?: boolean;
}

/** Rows under heads as text, "\n" at the end; a row's cells are as many as the columns. */
export async function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const made = new Table({
    head: columns.map(({ head }) => head),
    colAligns: columns.map(({ isNumber }) => (isNumber === true ? 'right' : 'left')),
    chars: noLines,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2, compact: true },
  });
  made.push(...rows.map((row) => row.map(oneLine)));
  return `${made.toString().replace(/ +$/gm, '')}\n`;
}

const sides = ['top', 'bottom', 'left', 'right'];
const noLines = Object.fromEntries(
  ['mid', 'middle', ...sides, ...sides.flatMap((side) => partsOf(side))].map((name) => [name, '']),
);

function partsOf(side: string): string[] {
  return [`${side}-mid`, `${side}-left`, `${side}-right`, `mid-mid`];
}

/** A cell that a name or text from outside cannot break out of, escape sequences of ours kept. */
function oneLine(cell: string): string {
  return cell.replace(/[\n\r\t]+/g, ' ');
}

/** Names and values, one per line: `revision   3`. Values are folded to a width of lines. */
export function facts(
  entries: readonly (readonly [name: string, value: string])[],
  width?: number,
): string {
  const indent = Math.max(0, ...entries.map(([name]) => name.length)) + 2;
  return entries
    .map(([name, value]) => {
      const [first = '', ...rest] = width === undefined ? [value] : fold(value, width - indent);
      const more = rest.map((line) => `${' '.repeat(indent)}${line}\n`);
      return `${name.padEnd(indent)}${first}\n${more.join('')}`;
    })
    .join('');
}

/** Narrow cells, and texts that are as long as they are. */
export interface StackedRow {
  readonly cells: readonly string[];
  readonly texts: readonly string[];
}

const textColumnsMin = 40;
const gap = 2;

/**
 * A table for a terminal: the texts of a row stand below each other in the last column, folded to
 * what `width` leaves for it.
 */
export function stacked(
  columns: readonly Column[],
  rows: readonly StackedRow[],
  width: number,
): Promise<string> {
  const narrow = columns.slice(0, -1);
  const used = narrow.map(({ head }, index) =>
    Math.max(head.length, ...rows.map(({ cells }) => visibleLength(cells[index] ?? ''))),
  );
  const left = used.reduce((rest, one) => rest - one - gap, width);
  const room = Math.max(textColumnsMin, left);
  const nothing = narrow.map(() => '');
  const lines = rows.flatMap(({ cells, texts }) => {
    const all = texts.filter((text) => text !== '').flatMap((text) => fold(text, room));
    const [first = '', ...rest] = all;
    return [[...cells, first], ...rest.map((line) => [...nothing, line])];
  });
  return table(columns, lines);
}

function visibleLength(cell: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are escape sequences
  return cell.replace(/\u001b\[\d+m/g, '').length;
}

/** Lines of at most `width`, broken after commas and spaces; continued ones are indented. */
export function fold(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/(?<=[, ])/)) {
    if (line.trim() !== '' && line.length + word.trimEnd().length > width) {
      lines.push(line.trimEnd());
      line = '  ';
    }
    line += word;
  }
  return [...lines, line.trimEnd()];
}

/** A value for scripts; JSON ends in a line break, YAML is one document. */
export async function structured(value: unknown, format: Exclude<Format, 'table'>) {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  const { stringify } = await import('yaml');
  // JSON first: what is undefined is left out, in both forms.
  return stringify(JSON.parse(JSON.stringify(value)), {
    lineWidth: 0,
    aliasDuplicateObjects: false,
  });
}

/** Prints a value: as it is for scripts, otherwise what `render` makes of it. */
export async function print(
  { io, format }: Context,
  value: unknown,
  render: () => string | Promise<string>,
): Promise<void> {
  io.stdout.write(format === 'table' ? await render() : await structured(value, format));
}

/** One item of a stream: a line of JSON, a YAML document, or a rendered line. */
export async function printItem(
  { io, format }: Context,
  value: unknown,
  render: () => string | Promise<string>,
): Promise<void> {
  if (format === 'table') io.stdout.write(await render());
  else if (format === 'json') io.stdout.write(`${JSON.stringify(value)}\n`);
  else io.stdout.write(`---\n${await structured(value, format)}`);
}

/** A value of a document or a fact within a line: lists with commas, nothing as "". */
export function inline(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(inline).join(', ');
  if (typeof value !== 'object') return `${value}`;
  return Object.entries(value)
    .map(([name, part]) => `${name}: ${inline(part)}`)
    .join(', ');
}
