// bench/upcall.ts — how many unknown flows a second one worker and one slow path can take in.
//
// The real way: a packet that no flow matches is copied into the upcall ring, TypeScript walks it
// through the pipeline and writes the verdict and the flow, the worker installs the flow and sends
// the packet. Both sides share one thread here, so a machine with a core for each does better; the
// figure is the sum of the work. Every packet is for another remote port and so a flow of its own.

import { bench, type Case, quantile, quick } from './harness.ts';
import { Lab, LabRules } from './lab.ts';
import { benchFrame } from './network.ts';

/** What a worker takes in one breath (native/base/limits.h, batch_max). */
const batch = 256;
/** Flows of each new data path that are not measured: they touch its memory for the first time. */
const warmCount = 1024;
const flowsMax = quick ? 4096 : 8192;
const datapathOptions = { flowMax: 16384, exactMax: 65536 };

const nsPerUs = 1000;

function upcallCase(): Case {
  const rules = new LabRules(flowsMax);
  const frames = Array.from({ length: flowsMax }, (_, number) => benchFrame(number, 1024));
  const batchUs: number[] = [];
  let lab: Lab | undefined;
  const inject = (first: number, count: number) => {
    for (const frame of frames.slice(first, first + count)) {
      lab!.datapath.inject(lab!.localPort, frame);
    }
  };
  return {
    name: `upcalls, batches of ${batch}`,
    unit: 'upcalls',
    unitsPerRun: batch,
    sampleMs: quick ? 2 : 6,
    prepare: (runs) => {
      if (warmCount + runs * batch > flowsMax) throw new Error(`${runs} runs need more flows`);
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

bench('upcall', [upcallCase]);
