// bench/upcall.ts — how many unknown flows a second the slow path takes in, and how long one waits.
//
// The real way: a packet that no flow matches is copied into the upcall ring, TypeScript walks it
// through the pipeline and writes the verdict and the flow, the worker installs the flow and sends
// the packet. Every packet is for another remote port and so a flow of its own. `answers/s` is what
// TypeScript alone does, the time inside SlowPath.answer(): in a vtepd it has a thread of its own.
// `upcalls/s` is the sum of the work of both sides on one thread. The first packet of a flow is
// measured alone, in processes of their own; see first-packet.ts.

import type { Bench, BenchOptions } from './bench.ts';
import { firstPacketRound } from './first-packet.ts';
import { type Case, measureCases } from './harness.ts';
import { Lab, LabRules } from './lab.ts';
import { benchFrame } from './network.ts';
import { jsonReport } from './programs.ts';
import { note } from './progress.ts';
import { quantile, type Report } from './report.ts';

/** What a worker takes in one breath (native/base/limits.h, batch_max). */
const batch = 256;
/** Flows of each new data path that are not measured: they touch its memory for the first time. */
const warmCount = 1024;
const flowsMax = 8192;
const flowsMaxQuick = 4096;
const datapathOptions = { flowMax: 16384, exactMax: 65536 };
const ruleCounts = [0, 1000];
const firstPackets = 1000;
const firstPacketsQuick = 50;
/** First packets that are not measured: the engine compiles what it runs often. */
const firstPacketsWarm = 1500;
const firstPacketsWarmQuick = 50;
/** Rounds of first packets, each a process of its own. */
const firstPacketRounds = 5;

const nsPerSecond = 1e9;

/** Bytes on the engine's heap. Reading them allocates too; the caller takes that off. */
const heapBytes = () => process.memoryUsage().heapUsed;

/** What TypeScript did in each batch. */
class Answers {
  readonly perSecond: number[] = [];
  readonly bytesEach: number[] = [];

  /** Answers all that waits in the lab, of which there is a batch. */
  measure(lab: Lab): void {
    const reading = heapBytes();
    const before = heapBytes();
    const began = process.hrtime.bigint();
    lab.answer();
    const ns = Number(process.hrtime.bigint() - began);
    const grown = heapBytes() - before - (before - reading);
    this.perSecond.push((batch * nsPerSecond) / ns);
    this.bytesEach.push(Math.max(0, grown) / batch);
  }
}

function upcallCase(securityRules: number, quick: boolean): Case {
  const flowCount = quick ? flowsMaxQuick : flowsMax;
  const rules = new LabRules(flowCount, securityRules);
  const frames = Array.from({ length: flowCount }, (_, number) => benchFrame(number, 1024));
  const answers = new Answers();
  let lab: Lab | undefined;
  const inject = (first: number, count: number) => {
    for (const frame of frames.slice(first, first + count)) {
      lab!.datapath.inject(lab!.localPort, frame);
    }
  };
  return {
    name: `${securityRules} security-group rules`,
    flows: flowCount,
    unit: 'upcalls',
    unitsPerRun: batch,
    sampleMs: quick ? 2 : 6,
    prepare: (runs) => {
      if (warmCount + runs * batch > flowCount) throw new Error(`${runs} runs need more flows`);
      lab = new Lab(rules, datapathOptions);
      inject(0, warmCount);
      lab.settle();
      inject(warmCount, runs * batch);
    },
    run: () => {
      lab!.breathe();
      answers.measure(lab!);
    },
    finish: (runs) => {
      const wanted = warmCount + runs * batch;
      const { slowPath, datapath, uplink } = lab!;
      const asked = slowPath.counts.upcalls;
      if (asked !== wanted) throw new Error(`${asked} upcalls, not ${wanted}`);
      lab!.settle();
      const sent = datapath.collect(uplink).length;
      if (sent !== wanted) throw new Error(`${sent} packets sent, not ${wanted}`);
      lab!.close();
    },
    extra: () => ({ 'answers/s': answers.perSecond, 'heap bytes an answer': answers.bytesEach }),
  };
}

/** Beside each process of first packets, what the two wakes alone take on this machine. */
async function firstPacket(report: Report, { quick, rounds }: BenchOptions): Promise<void> {
  const count = quick ? firstPacketsQuick : firstPackets;
  const warm = quick ? firstPacketsWarmQuick : firstPacketsWarm;
  const securityRules = ruleCounts.at(-1)!;
  const measured: Record<string, () => Promise<number[]>> = {
    vtepd: () => firstPacketRound({ securityRules, warm, count }),
    'two wakes alone': () => jsonReport('wake_bench', ['--count', String(count)]),
  };
  const figures = Object.entries(measured).map(([system, round]) => {
    return { system, round, p50: [] as number[], p99: [] as number[] };
  });
  const turns = rounds ?? (quick ? 1 : firstPacketRounds);
  for (let turn = 1; turn <= turns; turn += 1) {
    for (const { system, round, p50, p99 } of figures) {
      note(`${report.bench}: ${count} first packets: ${system}, round ${turn} of ${turns}`);
      const took = await round();
      p50.push(quantile(took, 0.5));
      p99.push(quantile(took, 0.99));
    }
  }
  for (const { system, p50, p99 } of figures) {
    const subject = { case: 'a first packet alone', flows: count, system };
    report.add({ ...subject, metric: 'p50 us' }, p50);
    report.add({ ...subject, metric: 'p99 us' }, p99);
  }
}

export const upcallBench: Bench = {
  name: 'upcall',
  summary: 'unknown flows that the slow path takes in a second; latency of a first packet',
  run: async (report, options) => {
    measureCases(
      report,
      options,
      ruleCounts.map((rules) => () => upcallCase(rules, options.quick)),
    );
    await firstPacket(report, options);
  },
};
