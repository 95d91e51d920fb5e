// bench/translate.ts — how many packets a second translate() decides, by the number of rules.
//
// Keys in, verdicts out, without rings or workers: the pure part of an upcall, of revalidation and
// of `vtepctl trace`. Tuple-space search should not care for the number of rules, only for the
// number of different masks; this bench says whether that is so.

import { field, flowKeyWords, setNumber } from '../src/flow/key.ts';
import { parsePacket } from '../src/flow/packet.ts';
import { Translation, translate } from '../src/pipeline/translate.ts';
import type { Bench } from './bench.ts';
import { type Case, measureCases } from './harness.ts';
import { LabRules } from './lab.ts';
import { benchFrame } from './network.ts';

/** A power of two, so that going round costs a mask. */
const keyCount = 1024;

/** What is large: the network, or the firewall of the port that sends. */
interface Size {
  readonly remotePorts: number;
  readonly securityRules: number;
}
const sizesOf = (ports: readonly number[], rules: readonly number[]): readonly Size[] => [
  ...ports.map((remotePorts) => ({ remotePorts, securityRules: 0 })),
  ...rules.map((securityRules) => ({ remotePorts: 256, securityRules })),
];
const sizes = sizesOf([1, 16, 256, 4096], [100, 1000, 10_000, 100_000]);
const sizesQuick = sizesOf([1, 64], [100]);

function translateCase({ remotePorts, securityRules }: Size): Case {
  const { pipeline, localPort } = new LabRules(remotePorts, securityRules);
  const keys = new Uint32Array(keyCount * flowKeyWords);
  for (let index = 0; index < keyCount; index += 1) {
    const base = index * flowKeyWords;
    parsePacket(benchFrame(index % remotePorts, 1024 + index), keys, base);
    setNumber(keys, base, field.in_port, localPort);
  }
  const out = new Translation();
  let turn = 0;
  return {
    name: `${remotePorts} remote ports, ${securityRules} security-group rules`,
    flows: pipeline.ruleCount,
    unit: 'packets',
    unitsPerRun: keyCount,
    run: () => {
      for (let index = 0; index < keyCount; index += 1) {
        turn = (turn + 1) & (keyCount - 1);
        translate(pipeline, keys, turn * flowKeyWords, out);
      }
    },
    finish: () => {
      if (out.dropReason !== 0) throw new Error(`the packets are dropped: ${out.dropReason}`);
    },
  };
}

export const translateBench: Bench = {
  name: 'translate',
  summary: 'verdicts a second of the pipeline alone, by the number of rules',
  run: (report, options) => {
    measureCases(
      report,
      options,
      (options.quick ? sizesQuick : sizes).map((size) => () => translateCase(size)),
    );
  },
};
