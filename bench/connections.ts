// bench/connections.ts — new connections under a known policy: how many a second, in how much
// memory.
//
// bench/native/connections_bench.cpp measures, without Node. What the whole datapath process takes
// is what an idle one takes here, with tables of that size, and by how much the bench grew.

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Lab } from '../test/support/netns.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { jsonLines } from './programs.ts';
import { Progress } from './progress.ts';
import type { Report } from './report.ts';

const datapathProgram = fileURLToPath(new URL('../../dist/datapath/main.js', import.meta.url));
/** Whole bursts, as connections_bench wants them: 10 thousand to 4 million. */
const counts = [10_240, 102_400, 1_048_576, 4_194_304];
const countsQuick = [10_240];
/** A table that is full from the beginning of the figure on. */
const fullTable = 65_536;
const fullCount = 1_048_576;
const roundsDefault = 5;
/** Making the packets, committing, answering, in seconds per million connections. */
const perMillion = 6;
const mib = 2 ** 20;
const kib = 2 ** 10;

interface Cell {
  readonly title: string;
  readonly flows: number;
  readonly table: number;
}

interface Figures {
  readonly cycles: number;
  readonly per_second: number;
  readonly bytes: number;
  readonly grown_mib: number;
}

function powerOfTwo(atLeast: number): number {
  return 2 ** Math.ceil(Math.log2(atLeast));
}

/** Memory in RAM of an idle datapath process with tables for so many connections, in MiB. */
async function idleMib(connections: number): Promise<number> {
  const lab = new Lab();
  try {
    const socket = lab.path('datapath.sock');
    const max = powerOfTwo(connections);
    const sizes = ['--connections', String(max), '--exact-flows', String(2 * max)];
    const args = [datapathProgram, '--socket', socket, ...sizes];
    const idle = lab.spawnHere(process.execPath, args);
    await idle.waitFor(() => existsSync(socket));
    const status = readFileSync(`/proc/${idle.pid}/status`, 'utf8');
    return (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * kib) / mib;
  } finally {
    await lab.close();
  }
}

async function run(report: Report, options: BenchOptions): Promise<void> {
  const usual = options.quick ? countsQuick : counts;
  const chosen = options.flows.length > 0 ? options.flows : usual;
  const cells: Cell[] = chosen.map((flows) => ({ title: 'commit', flows, table: flows }));
  if (!options.quick) cells.push({ title: 'table full', flows: fullCount, table: fullTable });
  const rounds = options.rounds ?? (options.quick ? 1 : roundsDefault);
  const expected = ({ flows }: Cell) => 1 + (flows / 1e6) * perMillion;
  const sum = cells.reduce((total, cell) => total + expected(cell), 0);
  const progress = new Progress(report.bench, rounds * sum);
  const results = new Map<Cell, Figures[]>(cells.map((cell) => [cell, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const cell of cells) {
      const { title, flows, table } = cell;
      progress.step(`round ${round} of ${rounds}: ${title}, ${flows} connections`, expected(cell));
      const args = ['--flows', String(flows), '--table', String(table)];
      results.get(cell)!.push(...(await jsonLines<Figures>('connections_bench', args)));
    }
  }
  for (const [cell, figures] of results) {
    const { title, flows, table } = cell;
    const idle = await idleMib(table);
    const add = (metric: string, of: (figure: Figures) => number) =>
      report.add({ case: title, flows, system: 'vtepd', metric }, figures.map(of));
    add('new connections/s', (figure) => figure.per_second);
    add('cycles per new connection', (figure) => figure.cycles);
    add('process MiB', (figure) => idle + figure.grown_mib);
    if (table === flows) add('bytes per connection', (figure) => figure.bytes);
  }
  progress.done();
}

export const connectionsBench: Bench = {
  name: 'connections',
  summary: 'new connections a second under a known policy; memory of 10 thousand to 4 million',
  run,
};
