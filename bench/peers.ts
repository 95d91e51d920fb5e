// bench/peers.ts — vtepd's worker beside Open vSwitch with DPDK, on the same packets.
//
// For each case and number of flows every system gets the same capture file and the same policy,
// and rounds go through the systems in turn, so that the machine's moods meet all of them. A peer
// that this machine has not is named, with what to install, and the rest runs.

import { Lab } from '../test/support/netns.ts';
import { type Bench, type BenchOptions, chosen, Lack } from './bench.ts';
import { datapathCases, flowCounts, flowCountsQuick, orderOf } from './datapath.ts';
import { floor, vtepd } from './peers/ours.ts';
import { OvsDpdk } from './peers/ovs-dpdk.ts';
import type { Cell, Figure, Peer, System } from './peers/system.ts';
import { Vpp } from './peers/vpp.ts';
import { writeInput } from './programs.ts';
import { note, Progress } from './progress.ts';
import type { Report } from './report.ts';

const roundsDefault = 5;
const secondsDefault = 1;
const secondsQuick = 0.1;
/** The least and the most work. */
const casesQuick = ['encap', 'decap-stateful'];
/** What a system needs around its measuring: starting, tables, waking up. */
const aroundSeconds = 0.5;

async function startPeers(lab: Lab): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const start of [OvsDpdk.start, Vpp.start]) {
    try {
      peers.push(await start(lab));
    } catch (error) {
      if (!(error instanceof Lack)) throw error;
      note(`skipped: ${error.message}`);
    }
  }
  return peers;
}

function cellsOf(lab: Lab, options: BenchOptions): Cell[] {
  const isShort = options.quick && options.cases.length === 0;
  const cases = chosen(datapathCases, isShort ? casesQuick : options.cases).map(({ name }) => name);
  const usual = options.quick ? flowCountsQuick.slice(-1) : flowCounts;
  const flows = options.flows.length > 0 ? options.flows : usual;
  const pcap = lab.path('in.pcap');
  return cases.flatMap((name) => flows.map((count) => ({ case: name, flows: count, pcap })));
}

async function measureCell(
  cell: Cell,
  systems: readonly System[],
  rounds: number,
  measure: (system: System, round: number) => Promise<Figure>,
): Promise<Map<System, Figure[]>> {
  await writeInput({ case: cell.case, flows: cell.flows, order: orderOf(cell.flows) }, cell.pcap);
  const figures = new Map<System, Figure[]>(systems.map((system) => [system, []]));
  for (const system of systems) await system.prepare(cell);
  for (let round = 1; round <= rounds; round += 1) {
    for (const system of systems) figures.get(system)!.push(await measure(system, round));
  }
  return figures;
}

function addRows(report: Report, cell: Cell, figures: ReadonlyMap<System, Figure[]>): void {
  const rows = [...figures].map(([{ name }, list]) => {
    const subject = { case: cell.case, flows: cell.flows, system: name };
    const mpps = list.map((figure) => figure.mpps);
    report.add({ ...subject, metric: 'Mpps' }, mpps);
    const cycles = list.map((figure) => figure.cycles);
    return report.add({ ...subject, metric: 'cycles per packet' }, cycles);
  });
  const [ours, ...others] = rows;
  for (const row of others) report.compare(ours!, row);
}

async function run(report: Report, options: BenchOptions): Promise<void> {
  const lab = new Lab();
  try {
    const peers = await startPeers(lab);
    for (const { name, version } of peers) report.version(name, version);
    await runCells(report, options, cellsOf(lab, options), [vtepd, ...peers, floor]);
  } finally {
    await lab.close();
  }
}

async function runCells(
  report: Report,
  options: BenchOptions,
  cells: readonly Cell[],
  systems: readonly System[],
): Promise<void> {
  const seconds = options.seconds ?? (options.quick ? secondsQuick : secondsDefault);
  const rounds = options.rounds ?? (options.quick ? 1 : roundsDefault);
  const each = seconds + aroundSeconds;
  const expected = (cell: Cell) =>
    systems
      .filter((system) => system.takes(cell))
      .reduce((sum, { prepareSeconds }) => sum + prepareSeconds + rounds * each, 0);
  const sum = cells.reduce((total, cell) => total + expected(cell), 0);
  const progress = new Progress(report.bench, sum);
  for (const cell of cells) {
    const taking = systems.filter((system) => system.takes(cell));
    const where = `${cell.case}, ${cell.flows} flows`;
    progress.step(
      `${where}: preparing`,
      taking.reduce((total, { prepareSeconds }) => total + prepareSeconds, 0),
    );
    const figures = await measureCell(cell, taking, rounds, (system, round) => {
      progress.step(`${where}: ${system.name}, round ${round} of ${rounds}`, each);
      return system.measure(seconds);
    });
    addRows(report, cell, figures);
  }
  progress.done();
}

export const peersBench: Bench = {
  name: 'peers',
  summary: 'cycles per packet beside Open vSwitch with DPDK, on the same packets, in turns',
  run,
};
