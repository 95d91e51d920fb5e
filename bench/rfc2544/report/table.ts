// bench/rfc2544/report/table.ts — the tables of a report, as text in cells: Markdown and the page
// draw the same ones.
//
// The first has the shape of the NVE paper's table VI: scenario by frame length, in Gbit/s. What is
// no figure of the device has a sign and a note that says why.

import { amount } from '../../tables.ts';
import type { Cell, Rfc2544Document } from '../document.ts';
import { averageSize, gigabits } from '../frames.ts';
import { directionsOf } from '../methods/asked.ts';
import { type LatencyResult, percentiles } from '../methods/latency.ts';
import type { Figure, GoalResult } from '../methods/throughput.ts';
import { percent } from '../search/outcome.ts';
import type { FrameMix } from '../trial.ts';

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly lines: readonly (readonly string[])[];
}

/** Sentences under the tables, each once: what the numbers in brackets mean. */
export class Notes {
  readonly all: string[] = [];

  /** " [3]", or nothing without a sentence. */
  mark(sentence: string | undefined): string {
    if (sentence === undefined || sentence === '') return '';
    const known = this.all.indexOf(sentence);
    const at = known === -1 ? this.all.push(sentence) : known + 1;
    return ` [${at}]`;
  }
}

/** In both directions together. */
export const totalRate = (cell: Cell, rate: number): number => rate * directionsOf(cell.direction);

export const totalGigabits = (cell: Cell, rate: number): number =>
  gigabits(cell.frames, totalRate(cell, rate));

/** "64", "imix (362 on average)". */
export function columnOf(mix: FrameMix): string {
  return mix.shares.length === 1 ? mix.name : `${mix.name} (${Math.round(averageSize(mix))})`;
}

const unique = <Item>(list: readonly Item[]): Item[] => [...new Set(list)];
const none = '–';

/** All tables, and the notes that they refer to. */
export function tablesOf(document: Rfc2544Document): { tables: Table[]; notes: Notes } {
  const notes = new Notes();
  const tables = [
    ...throughputTables(document, notes),
    limitTable(document, notes),
    lossTable(document, notes),
    latencyTable(document, notes),
    burstTable(document, notes),
    extraTable(document, notes),
  ];
  return { tables: tables.filter(({ lines }) => lines.length > 0), notes };
}

const directionText = { forward: 'one direction', both: 'both directions together' } as const;
const lossText = (loss: number): string =>
  loss === 0 ? 'no loss' : `at most ${percent(loss)} lost`;

const goalOf = (cell: Cell, loss: number): GoalResult | undefined =>
  cell.throughput?.goals.find((goal) => goal.loss === loss);

/** A figure, a lower limit, or a dash; with its note. */
function figureText(cell: Cell, loss: number, notes: Notes, of: (figure: Figure) => string) {
  const goal = goalOf(cell, loss);
  const interrupted = cell.why === undefined ? '' : notes.mark(cell.why);
  if (goal?.figure === undefined) return none + (goal ? notes.mark(goal.why) : interrupted);
  const { atLeast } = goal.figure;
  const sign = atLeast === undefined ? '' : '≥ ';
  return `${sign}${of(goal.figure)}${notes.mark(atLeast)}${interrupted}`;
}

function throughputTables(document: Rfc2544Document, notes: Notes): Table[] {
  const { settings, cells } = document;
  const mixes = settings.frames;
  const head = ['scenario', 'system', ...mixes.map(columnOf)];
  const table = (
    unit: string,
    loss: number,
    direction: Cell['direction'],
    of: (cell: Cell, figure: Figure) => string,
  ): Table => {
    const own = cells.filter((cell) => cell.direction === direction);
    const rows = unique(own.map(({ scenario, system }) => `${scenario}\n${system}`));
    const lines = rows.map((row) => {
      const [scenario, system] = row.split('\n') as [string, string];
      const figures = mixes.map((mix) => {
        const cell = own.find(
          (one) =>
            one.scenario === scenario && one.system === system && one.frames.name === mix.name,
        );
        return cell ? figureText(cell, loss, notes, (figure) => of(cell, figure)) : none;
      });
      return [scenario, system, ...figures];
    });
    const title = `Throughput, ${unit}, ${directionText[direction]}, ${lossText(loss)}`;
    return { title, head, lines };
  };
  return settings.directions.flatMap((direction) =>
    settings.losses.flatMap((loss) => [
      table('Gbit/s', loss, direction, (cell, { rate }) => amount(totalGigabits(cell, rate))),
      table('frames/s', loss, direction, (cell, { rate }) => amount(totalRate(cell, rate))),
    ]),
  );
}

function limitTable({ settings, limits }: Rfc2544Document, notes: Notes): Table {
  const lines = limits.flatMap((cell) =>
    settings.losses.map((loss) => [
      columnOf(cell.frames),
      directionText[cell.direction],
      lossText(loss),
      figureText(cell, loss, notes, ({ rate }) => amount(totalRate(cell, rate))),
      figureText(cell, loss, notes, ({ rate }) => amount(totalGigabits(cell, rate))),
    ]),
  );
  const head = ['frames', 'direction', 'loss', 'frames/s', 'Gbit/s'];
  return { title: 'What the generator does without a device', head, lines };
}

/** Which cell a line is of. */
const subject = (cell: Cell): string[] => [
  cell.scenario ?? 'generator alone',
  cell.system,
  `${columnOf(cell.frames)}${cell.direction === 'forward' ? ', one direction' : ''}`,
];
const subjectHead = ['scenario', 'system', 'frames'];

function lossTable({ cells }: Rfc2544Document, notes: Notes): Table {
  const most = Math.max(0, ...cells.map(({ loss }) => loss?.points.length ?? 0));
  const shares = Array.from({ length: most }, (_, step) => `${100 - 10 * step} %`);
  const lines = cells.flatMap((cell) => {
    if (cell.loss === undefined) return [];
    const { full, points } = cell.loss;
    const losses = shares.map((_, at) => {
      const point = points[at];
      if (point === undefined) return '';
      return point.loss === undefined ? none + notes.mark(point.fault) : percent(point.loss);
    });
    return [[...subject(cell), amount(totalRate(cell, full)), ...losses]];
  });
  const head = [...subjectHead, '100 % is, frames/s', ...shares];
  return { title: 'Frame loss by offered load', head, lines };
}

function latencyTable({ limits, cells }: Rfc2544Document, notes: Notes): Table {
  const lines = [...limits, ...cells].flatMap((cell) =>
    (cell.latency ?? []).map((one) => [
      ...subject(cell),
      percent(one.load),
      amount(totalRate(cell, one.rate)),
      ...latencyTexts(one, notes),
    ]),
  );
  const names = percentiles.map((share) => percent(share));
  const head = [
    ...[...subjectHead, 'of throughput', 'frames/s', 'min', 'average', ...names, 'max'],
    ...['jitter', 'lost', 'reordered', 'duplicated'],
  ];
  return { title: 'Latency by load, microseconds', head, lines };
}

function latencyTexts(one: LatencyResult, notes: Notes): string[] {
  const { latency, loss, reordered, duplicated, fault } = one;
  const why = fault ?? 'No frame came back with its time.';
  const times =
    latency === undefined
      ? [none + notes.mark(why), ...Array.from({ length: percentiles.length + 3 }, () => none)]
      : [latency.min, latency.average, ...one.percentiles, latency.max, latency.jitter].map(amount);
  const counted = [reordered, duplicated].map((value) => (value === undefined ? none : `${value}`));
  return [...times, loss === undefined ? none : percent(loss), ...counted];
}

function burstTable({ cells }: Rfc2544Document, notes: Notes): Table {
  const lines = cells.flatMap((cell) => {
    const burst = cell.backToBack;
    if (burst === undefined) return [];
    const { rate, frames, isAtLeast, bufferSeconds, why } = burst;
    const figures =
      frames === undefined
        ? [none + notes.mark(why), none, none, none]
        : [
            `${isAtLeast ? '≥ ' : ''}${amount(frames.average)}`,
            ...[frames.min, frames.max, frames.deviation].map(amount),
          ];
    const buffer = bufferSeconds === undefined ? none : amount(bufferSeconds * 1e6);
    return [[...subject(cell), amount(rate), ...figures, buffer]];
  });
  const head = [
    ...[...subjectHead, 'burst at, frames/s', 'average', 'min', 'max', 'deviation'],
    'buffer, us',
  ];
  return { title: 'Longest burst without loss, frames in each direction', head, lines };
}

function extraTable({ extras }: Rfc2544Document, notes: Notes): Table {
  const lines = extras.map(({ scenario, system, extra, case: what, metric, value, fault }) => [
    ...[scenario, system, extra, what, metric],
    value === undefined ? none + notes.mark(fault) : amount(value),
  ]);
  const head = ['scenario', 'system', 'extra', 'case', 'metric', 'value'];
  return { title: 'Beyond RFC 2544', head, lines };
}
