// bench/upcall.ts — how many unknown flows a second the slow path takes in, and how long one waits.
//
// The real way: a packet that no flow matches is copied into the upcall ring, TypeScript walks it
// through the pipeline and writes the verdict and the flow, the worker installs the flow and sends
// the packet. Every packet is for another remote port and so a flow of its own. `answers/s` is what
// TypeScript alone does, the time inside SlowPath.answer(): in a vtepd it has a thread of its own.
// `upcalls/s` is the sum of the work of both sides on one thread. The first packet of a flow is
// measured alone, between a worker that slept and an event loop that slept.

import { setTimeout as sleep } from 'node:timers/promises';
import { readEvents } from '../src/datapath/events.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { type Case, measureCases } from './harness.ts';
import { Lab, LabRules } from './lab.ts';
import { benchFrame } from './network.ts';
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
/**
 * Between two first packets, so that both sides sleep. Longer than a kernel's tick, as the times
 * that a vtepd sleeps are: a nearer timer of ours would be the next of its CPU, and to cancel that
 * when the slow path is woken takes longer than the wake.
 */
const restMs = 5;
const restsMax = 200;

const nsPerSecond = 1e9;
const nsPerUs = 1000;

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

/** Waits for the packet that is under way; microseconds from its arrival to its leaving. */
async function passedUs({ datapath, memory }: Lab): Promise<number> {
  const seen = new Map<string, bigint>();
  for (let rest = 0; rest < restsMax && seen.size < 2; rest += 1) {
    await sleep(restMs);
    for (const event of readEvents(datapath, 0, memory)) {
      if (event.kind === 'capture') seen.set(event.direction, event.timeNs);
    }
  }
  if (seen.size < 2) throw new Error('a first packet was lost');
  return Number(seen.get('out')! - seen.get('in')!) / nsPerUs;
}

/** Microseconds from a flow's first packet's arrival to its leaving, one flow after the other. */
async function firstPacketUs(rules: LabRules, warm: number, count: number): Promise<number[]> {
  const lab = new Lab(rules, { ...datapathOptions, manual: false });
  const { datapath, localPort, uplink } = lab;
  try {
    datapath.onDoorbell(() => lab.answer());
    datapath.setCapture(localPort, true);
    datapath.setCapture(uplink, true);
    const took: number[] = [];
    for (let number = 0; number < warm + count; number += 1) {
      datapath.inject(localPort, benchFrame(number, 1024));
      const us = await passedUs(lab);
      if (number >= warm) took.push(us);
      datapath.collect(uplink);
    }
    return took;
  } finally {
    lab.close();
  }
}

async function firstPacket(report: Report, { quick }: BenchOptions): Promise<void> {
  const count = quick ? firstPacketsQuick : firstPackets;
  const warm = quick ? firstPacketsWarmQuick : firstPacketsWarm;
  const securityRules = ruleCounts.at(-1)!;
  note(`${report.bench}: first packets of ${count} flows, one at a time`);
  const rules = new LabRules(warm + count, securityRules);
  const took = await firstPacketUs(rules, warm, count);
  const subject = { case: 'a first packet alone', flows: count, system: 'vtepd' };
  report.add({ ...subject, metric: 'p50 us' }, [quantile(took, 0.5)]);
  report.add({ ...subject, metric: 'p99 us' }, [quantile(took, 0.99)]);
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
