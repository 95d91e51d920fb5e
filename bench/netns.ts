// bench/netns.ts — two hosts with a container each, in network namespaces: what passes between the
// containers through every kind of overlay, in one run.
//
// Real network stacks at both ends and veth pairs between: the kernel's costs are in every figure,
// and all ends share this machine's cores. `direct` is a plain veth pair from container to
// container: what a round trip costs beyond it is what an overlay adds.

import { Lab } from '../test/support/netns.ts';
import { iperf, ping } from '../test/support/traffic.ts';
import { waitUntil } from '../test/support/wait.ts';
import { type Bench, type BenchOptions, chosen, Lack } from './bench.ts';
import { type Overlay, overlays } from './netns/overlays.ts';
import { programPath } from './programs.ts';
import { note, Progress } from './progress.ts';
import type { Report, Row } from './report.ts';

const roundsDefault = 5;
const secondsDefault = 2;
const secondsQuick = 0.3;
const systemsQuick = ['direct', 'vtepd-af-packet', 'kernel-vxlan'];
/** Building the hosts and starting what runs on them, and ending it. */
const buildSeconds = 5;
const udpPort = 20300;
const udpFlows = 64;
const streamCounts = [1, 4];
const client = 'c1';
const server = 'c2';
const address = '10.0.0.2';

/** Figures of one system by case, metric and flows. */
type Figures = Map<string, { case: string; flows: number; metric: string; values: number[] }>;

function put(
  figures: Figures,
  subject: { case: string; flows: number; metric: string },
  value: number,
): void {
  const key = `${subject.case}/${subject.metric}/${subject.flows}`;
  if (!figures.has(key)) figures.set(key, { ...subject, values: [] });
  figures.get(key)!.values.push(value);
}

/** Runs udp_bench in a namespace to its end; its line. */
async function udp<Line>(lab: Lab, ns: string, verb: string, args: string[]): Promise<Line> {
  const { stdout } = await lab.must(ns, programPath('udp_bench'), [verb, ...args]);
  return JSON.parse(stdout.split('\n').filter((line) => line.startsWith('{'))[0]!) as Line;
}

async function packetRate(lab: Lab, seconds: number): Promise<number> {
  const program = programPath('udp_bench');
  const port = ['--port', String(udpPort)];
  const count = ['count', '--device', 'eth0', ...port, '--seconds', String(seconds)];
  const counter = lab.spawn(server, program, count);
  await counter.waitFor(/ready/);
  // Longer than is counted: the counter waits a little before it begins.
  const flood = ['flood', '--to', address, ...port, '--seconds', String(seconds + 2)];
  const sender = lab.spawn(client, program, flood);
  const { code } = await counter.exited;
  await sender.kill9();
  if (code !== 0) throw new Error(`counting packets failed: ${counter.stderr}`);
  return Number(/"per_second":(\d+)/.exec(counter.stdout)?.[1]);
}

interface RoundTrip {
  readonly answered: number;
  readonly p50_us: number;
  readonly p99_us: number;
}

async function roundTrip(lab: Lab, seconds: number): Promise<RoundTrip> {
  const port = ['--port', String(udpPort + 1)];
  const answering = lab.spawn(server, programPath('udp_bench'), ['answer', ...port]);
  await answering.waitFor(/ready/);
  const to = ['--to', address, ...port];
  await udp(lab, client, 'ask', [...to, '--seconds', '0.1']); // learns, resolves, installs
  const found = await udp<RoundTrip>(lab, client, 'ask', [...to, '--seconds', String(seconds)]);
  await answering.stop();
  if (found.answered === 0) throw new Error('no datagram was answered');
  return found;
}

async function measure(
  lab: Lab,
  figures: Figures,
  options: { seconds: number; tcp: boolean },
): Promise<void> {
  const { seconds, tcp } = options;
  const rtt = await roundTrip(lab, seconds);
  put(figures, { case: 'round trip', flows: 1, metric: 'p50 us' }, rtt.p50_us);
  put(figures, { case: 'round trip', flows: 1, metric: 'p99 us' }, rtt.p99_us);
  const rate = await packetRate(lab, seconds);
  put(figures, { case: 'UDP, 64 bytes', flows: udpFlows, metric: 'packets/s' }, rate);
  for (const streams of tcp ? streamCounts : []) {
    const path = { from: client, to: server, address };
    const { gigabitPerSecond } = await iperf(lab, path, { seconds, streams });
    put(figures, { case: 'TCP', flows: streams, metric: 'Gbit/s' }, gigabitPerSecond);
  }
}

/** Builds the hosts with one system, measures, and takes everything down. */
async function round(
  overlay: Overlay,
  figures: Figures,
  options: { seconds: number; tcp: boolean },
): Promise<void> {
  const lab = new Lab();
  try {
    await overlay.build(lab);
    const answered = async () =>
      (await ping(lab, client, address, { count: 1, wait: 1 })).received > 0;
    await waitUntil(answered, { timeoutMs: 15_000, what: `${overlay.name} to carry a ping` });
    await measure(lab, figures, options);
  } finally {
    await lab.close();
  }
}

function addRows(report: Report, all: ReadonlyMap<Overlay, Figures>): Row[] {
  const direct = [...all].find(([{ name }]) => name === 'direct')?.[1];
  const base = direct?.get('round trip/p50 us/1')?.values;
  return [...all].flatMap(([{ name: system }, figures]) =>
    [...figures.values()].flatMap(({ values, ...subject }) => {
      const row = report.add({ ...subject, system }, values);
      if (subject.metric !== 'p50 us' || base === undefined || system === 'direct') return [row];
      // Of the same round, so that the machine's mood is in both.
      const added = values.map((value, at) => value - base[at]!);
      return [row, report.add({ ...subject, system, metric: 'added p50 us' }, added)];
    }),
  );
}

function compare(report: Report, rows: readonly Row[]): void {
  for (const ours of rows.filter(({ system }) => system.startsWith('vtepd'))) {
    const peers = rows.filter(
      ({ system, metric, case: name, flows }) =>
        !system.startsWith('vtepd') &&
        system !== 'direct' &&
        [metric, name, flows].join() === [ours.metric, ours.case, ours.flows].join(),
    );
    for (const theirs of peers) report.compare(ours, theirs, `${theirs.system} (${ours.system})`);
  }
}

async function run(report: Report, options: BenchOptions): Promise<void> {
  // Here the systems are what --case chooses from.
  const wanted = options.quick && options.cases.length === 0 ? systemsQuick : options.cases;
  const systems = chosen(overlays, wanted).filter((overlay) => {
    const lack = overlay.lack();
    if (lack !== undefined) note(`skipped: ${overlay.name}: ${lack}`);
    return lack === undefined;
  });
  if (systems.length === 0) throw new Lack('netns: this machine can run none of the systems');
  const seconds = options.seconds ?? (options.quick ? secondsQuick : secondsDefault);
  const rounds = options.rounds ?? (options.quick ? 1 : roundsDefault);
  const tcp = !options.quick;
  const each = buildSeconds + seconds * (2 + (tcp ? streamCounts.length : 0));
  const progress = new Progress(report.bench, rounds * systems.length * each);
  const all = new Map<Overlay, Figures>(systems.map((overlay) => [overlay, new Map()]));
  for (let number = 1; number <= rounds; number += 1) {
    for (const overlay of systems) {
      progress.step(`round ${number} of ${rounds}: ${overlay.name}`, each);
      await round(overlay, all.get(overlay)!, { seconds, tcp });
    }
  }
  progress.done();
  for (const { name, version } of systems) if (version) report.version(name, await version());
  compare(report, addRows(report, all));
}

export const netnsBench: Bench = {
  name: 'netns',
  summary: 'packets a second, round trips and TCP between two hosts on veth, beside other overlays',
  run,
};
