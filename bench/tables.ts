// bench/tables.ts — a document as tables: for a terminal, and as they are for bench/README.md.
//
// Markdown with its columns aligned reads well in both places, so there is one form. Each metric
// has a table: a line for each case and number of flows, a column for each system, and one for the
// ratio to each peer.

import type { Document, Ratio, Row } from './report.ts';

/** Ratios that a table of figures has room for. */
const besideMax = 3;

/** The whole document, with a heading that says where the figures come from. */
export function tables(document: Document): string {
  const { rows, ratios } = document;
  const metrics = unique(rows.map(({ bench, metric }) => `${bench}: ${metric}`));
  const parts = metrics.map((title) => {
    const of = rows.filter(({ bench, metric }) => `${bench}: ${metric}` === title);
    const compared = ratios.filter(({ metric }) => metric === of[0]!.metric);
    return `### ${title}\n\n${table(of, compared)}`;
  });
  return `${[heading(document), ...parts].join('\n\n')}\n`;
}

function heading({ machine, commit }: Document): string {
  const { cpu, cores, memoryGib, kernel, node, load, versions } = machine;
  const systems = Object.entries(versions).map(([system, version]) => `; ${system} ${version}`);
  return (
    `${cpu}, ${cores} cores, ${memoryGib} GiB, load ${load.toFixed(1)}; ` +
    `kernel ${kernel}, Node ${node}${systems.join('')}; commit ${commit}.\n` +
    'Median (least to most) over rounds; a ratio above 1 is in our favour.'
  );
}

function table(rows: readonly Row[], ratios: readonly Ratio[]): string {
  const systems = unique(rows.map(({ system }) => system));
  const all = unique(ratios.map(({ peer }) => peer));
  // More of them would not fit beside the systems: they get a table of their own.
  const peers = all.length <= besideMax ? all : [];
  const subjects = unique(rows.map((row) => JSON.stringify([row.case, row.flows])));
  const lines = subjects.map((subject) => {
    const [name, flows] = JSON.parse(subject) as [string, number];
    const isOf = (one: Row | Ratio) => one.case === name && one.flows === flows;
    const figures = systems.map((system) => {
      const row = rows.find((one) => isOf(one) && one.system === system);
      return row === undefined ? '' : figure(row);
    });
    const compared = peers.map((peer) => {
      const found = ratios.find((one) => isOf(one) && one.peer === peer);
      return found === undefined ? '' : times(found);
    });
    return [name, whole(flows), ...figures, ...compared];
  });
  const head = ['case', 'flows', ...systems, ...peers.map((peer) => `to ${peer}`)];
  const figures = aligned([head, ...lines]);
  if (all.length <= besideMax) return figures;
  const apart = ratios.map((one) => [one.case, whole(one.flows), one.peer, times(one)]);
  return `${figures}\n\n${aligned([['case', 'flows', 'compared', 'ratio'], ...apart])}`;
}

const whole = (value: number): string => value.toLocaleString('en');
const times = ({ ratio }: Ratio): string => `${ratio.toPrecision(3)}x`;

function figure({ median, min, max }: Row): string {
  return min === max ? amount(median) : `${amount(median)} (${amount(min)} to ${amount(max)})`;
}

/** A number as people read it: three digits, and a scale for the large ones. */
export function amount(value: number): string {
  if (Math.abs(value) < 1000) return String(Number(value.toPrecision(3)));
  if (Math.abs(value) < 10_000) return String(Math.round(value));
  const scales = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const;
  const [scale, letter] = scales.find(([least]) => Math.abs(value) >= least)!;
  return `${Number((value / scale).toPrecision(3))}${letter}`;
}

/** Lines of cells as a table of Markdown; the first line is the head. */
export function aligned(lines: readonly (readonly string[])[]): string {
  const columns = lines[0]!.map((_, at) => at);
  const widths = columns.map((at) => Math.max(3, ...lines.map((cells) => cells[at]!.length)));
  const draw = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at]!)).join(' | ')} |`;
  const [head, ...body] = lines.map(draw);
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [head, rule, ...body].join('\n');
}

function unique<Item>(list: readonly Item[]): Item[] {
  return [...new Set(list)];
}
