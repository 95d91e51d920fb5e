// bench/upcall.ts — how many unknown flows a second one worker and one slow path can take in.
//
// The real way: a packet that no flow matches is copied into the upcall ring, TypeScript walks it
// through the pipeline and writes the verdict and the flow, the worker installs the flow and sends
// the packet. Both sides share one thread here, so a machine with a core for each does better; the
// figure is the sum of the work. Every packet is for another remote port and so a flow of its own.

import type { Bench } from './bench.ts';
import { type Case, measureCases } from './harness.ts';
import { Lab, LabRules } from './lab.ts';
import { benchFrame } from './network.ts';
import { quantile } from './report.ts';

/** What a worker takes in one breath (native/base/limits.h, batch_max). */
const batch = 256;
/** Flows of each new data path that are not measured: they touch its memory for the first time. */
const warmCount = 1024;
const flowsMax = 8192;
const flowsMaxQuick = 4096;
const datapathOptions = { flowMax: 16384, exactMax: 65536 };

const nsPerUs = 1000;

function upcallCase(quick: boolean): Case {
  const flowCount = quick ? flowsMaxQuick : flowsMax;
  const rules = new LabRules(flowCount);
  const frames = Array.from({ length: flowCount }, (_, number) => benchFrame(number, 1024));
  const batchUs: number[] = [];
  let lab: Lab | undefined;
  const inject = (first: number, count: number) => {
    for (const frame of frames.slice(first, first + count)) {
      lab!.datapath.inject(lab!.localPort, frame);
    }
  };
  return {
    name: `batches of ${batch}`,
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
      const began = process.hrtime.bigint();
      lab!.turn();
      batchUs.push(Number(process.hrtime.bigint() - began) / nsPerUs);
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
    extra: () => ({
      'batch p50 us': quantile(batchUs, 0.5),
      'batch p99 us': quantile(batchUs, 0.99),
    }),
  };
}

export const upcallBench: Bench = {
  name: 'upcall',
  summary: 'unknown flows that one worker and the slow path take in a second; latency of a batch',
  run: (report, options) => measureCases(report, options, [() => upcallCase(options.quick)]),
};
