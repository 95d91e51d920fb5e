// bench/datapath.ts — what a packet costs a worker: by case, flows, burst and number of workers.
//
// bench/native/datapath_bench.cpp measures; this says what, and how often. Rounds go through all
// cells in turn, so that a change of the machine's mood meets every cell.

import { availableParallelism } from 'node:os';
import { type Bench, type BenchOptions, chosen } from './bench.ts';
import { type DatapathRound, type DatapathRun, datapathRound } from './programs.ts';
import { Progress } from './progress.ts';
import type { Report, Row } from './report.ts';

export const datapathCases = [
  { name: 'encap' },
  { name: 'encap-stateful' },
  { name: 'decap' },
  { name: 'decap-stateful' },
] as const;

/** Numbers of flows, from all in the first cache to far beyond the last. */
export const flowCounts = [1, 1000, 10_000, 100_000, 1_000_000];
export const flowCountsQuick = [1, 1000];
/** From here on packets come in random order: in sequence, memory would be read ahead. */
const randomFrom = 1_000_000;
const bursts = [1, 8, 32];
const burstFull = 256;
/** Flows of the cells that vary burst or workers. */
const flowsUsual = 10_000;
/** As many as colliding.h gives. */
const flowsColliding = 32_768;
const roundsDefault = 5;
const secondsDefault = 0.5;
const secondsQuick = 0.05;
/** Making packets and tables, and letting every flow be known, in seconds per million flows. */
const setUpPerMillion = 4;

type Metric = 'cycles' | 'mpps';

interface Cell {
  readonly title: string;
  readonly run: Omit<DatapathRun, 'seconds'> & { readonly flows: number };
  /** What it is compared with: the title of another cell of as many flows, and how to call it. */
  readonly against?: { readonly title: string; readonly peer: string; readonly metric: Metric };
}

/** The order of packets that every bench uses for so many flows. */
export const orderOf = (flows: number): 'random' | 'sequential' =>
  flows >= randomFrom ? 'random' : 'sequential';

function cellsOf(options: BenchOptions): Cell[] {
  const cases = chosen(datapathCases, options.cases).map(({ name }) => name);
  const usual = options.quick ? flowCountsQuick : flowCounts;
  const flowsChosen = options.flows.length > 0 ? options.flows : usual;
  const flowsVaried = options.flows[0] ?? (options.quick ? flowCountsQuick[1]! : flowsUsual);
  const workerCounts = [...new Set([2, availableParallelism()])].filter(
    (count) => count > 1 && count <= availableParallelism(),
  );
  return cases.flatMap((name) => [
    ...flowsChosen.map((flows) => ({
      title: name,
      run: { case: name, flows, order: orderOf(flows), stages: 'yes' as const },
    })),
    ...bursts.map((burst) => ({
      title: `${name}, bursts of ${burst}`,
      run: { case: name, flows: flowsVaried, order: orderOf(flowsVaried), burst },
      against: { title: name, peer: `bursts of ${burstFull}`, metric: 'cycles' as const },
    })),
    ...workerCounts.map((workers) => ({
      title: `${name}, ${workers} workers`,
      run: { case: name, flows: flowsVaried, order: orderOf(flowsVaried), workers },
      against: { title: name, peer: 'one worker', metric: 'mpps' as const },
    })),
    ...attackCells(name),
  ]);
}

/** What an attacker would send against a hash without a key, and as much harmless traffic. */
function attackCells(name: string): Cell[] {
  const run = { case: name, flows: flowsColliding };
  const plain = { title: `${name}, plain sources`, run };
  const against = { title: plain.title, peer: 'plain sources', metric: 'cycles' as const };
  const title = `${name}, colliding sources`;
  return [plain, { title, run: { ...run, sources: 'colliding' }, against }];
}

async function run(report: Report, options: BenchOptions): Promise<void> {
  const cells = cellsOf(options);
  const seconds = options.seconds ?? (options.quick ? secondsQuick : secondsDefault);
  const rounds = options.rounds ?? (options.quick ? 1 : roundsDefault);
  const expected = (cell: Cell) =>
    seconds * (cell.run.stages ? 2 : 1) + 0.1 + (cell.run.flows / 1e6) * setUpPerMillion;
  const sum = cells.reduce((total, cell) => total + expected(cell), 0);
  const progress = new Progress(report.bench, rounds * sum);
  const results = new Map<Cell, DatapathRound[]>(cells.map((cell) => [cell, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const cell of cells) {
      const what = `round ${round} of ${rounds}: ${cell.title}, ${cell.run.flows} flows`;
      progress.step(what, expected(cell));
      results.get(cell)!.push(await datapathRound({ ...cell.run, seconds }));
    }
  }
  progress.done();
  const rows = cells.map((cell) => addRows(report, cell, results.get(cell)!));
  compare(report, cells, rows);
}

type CellRows = Readonly<Record<Metric, Row>>;

function addRows(report: Report, { title, run }: Cell, figures: DatapathRound[]): CellRows {
  const subject = { case: title, flows: run.flows, system: 'vtepd' };
  for (const stage of Object.keys(figures[0]!.stages ?? {})) {
    const cycles = figures.map(({ stages }) => stages![stage]!);
    const metric = 'cycles per packet, by stage';
    report.add({ ...subject, case: `${title}, ${stage}`, metric }, cycles);
  }
  const cycles = figures.map((figure) => figure.cycles);
  const mpps = figures.map((figure) => figure.mpps);
  return {
    cycles: report.add({ ...subject, metric: 'cycles per packet' }, cycles),
    mpps: report.add({ ...subject, metric: 'Mpps' }, mpps),
  };
}

/** `rows` are those of `cells`, in the same order. */
function compare(report: Report, cells: readonly Cell[], rows: readonly CellRows[]): void {
  for (const [at, { run, against }] of cells.entries()) {
    if (against === undefined) continue;
    const isBase = (cell: Cell) => cell.title === against.title && cell.run.flows === run.flows;
    const base = rows[cells.findIndex(isBase)];
    const { metric, peer } = against;
    if (base !== undefined) report.compare(rows[at]![metric], base[metric], peer);
  }
}

export const datapathBench: Bench = {
  name: 'datapath',
  summary: 'cycles per packet of a worker, by case, flows, burst and number of workers',
  run,
};
