// bench/forward.ts — packets a second through the whole data path of one worker, by flows.
//
// From memory port to memory port: parse, exact cache, actions, encapsulation or decapsulation. The
// flows are installed before; they differ in their UDP source ports and so share one megaflow, and
// each has an exact entry of its own. Frames are handed over before and collected after the timed
// part, but the ports' copies of the packets are inside it, as they would be with AF_PACKET.

import { bench, type Case, quick } from './harness.ts';
import { Lab, LabRules } from './lab.ts';
import { benchFrame, benchTunnelFrame } from './network.ts';

/** What a worker takes in one breath (native/base/limits.h, batch_max). */
const batch = 256;
/** Packets that a memory port keeps for collect(). */
const keptMax = 65536;
const settleEvery = 2048;

const flowCounts = quick ? [1, 1000] : [1, 1000, 10_000];

interface Way {
  readonly name: string;
  readonly frame: (remote: number, sourcePort: number) => Uint8Array;
  readonly from: (lab: Lab) => number;
  readonly to: (lab: Lab) => number;
}

const ways: readonly Way[] = [
  { name: 'encap', frame: benchFrame, from: (lab) => lab.localPort, to: (lab) => lab.uplink },
  { name: 'decap', frame: benchTunnelFrame, from: (lab) => lab.uplink, to: (lab) => lab.localPort },
];

function forwardCase(way: Way, flowCount: number): Case {
  const lab = new Lab(new LabRules(1));
  const from = way.from(lab);
  const to = way.to(lab);
  const frames = Array.from({ length: flowCount }, (_, number) => way.frame(0, 1024 + number));
  for (const [index, frame] of frames.entries()) {
    lab.datapath.inject(from, frame);
    if (index % settleEvery === settleEvery - 1) lab.settle();
  }
  lab.settle();
  const warmed = lab.datapath.collect(to).length;
  if (warmed !== flowCount) throw new Error(`${warmed} of ${flowCount} flows were set up`);
  const asked = lab.slowPath.counts.upcalls;
  let turn = 0;
  return {
    name: `${way.name}, ${flowCount} flows`,
    unit: 'packets',
    unitsPerRun: batch,
    sampleMs: 2,
    prepare: (runs) => {
      if (runs * batch > keptMax) throw new Error(`${runs} runs are more than a port keeps`);
      for (let count = 0; count < runs * batch; count += 1) {
        lab.datapath.inject(from, frames[turn]!);
        turn = (turn + 1) % flowCount;
      }
    },
    run: () => {
      lab.datapath.runOnce(0);
    },
    finish: (runs) => {
      const sent = lab.datapath.collect(to).length;
      if (sent !== runs * batch) throw new Error(`${sent} packets sent, not ${runs * batch}`);
      if (lab.slowPath.counts.upcalls !== asked) throw new Error('flows were asked about again');
    },
    extra: () => {
      lab.close();
      return {};
    },
  };
}

bench(
  'forward',
  ways.flatMap((way) => flowCounts.map((flowCount) => () => forwardCase(way, flowCount))),
);
