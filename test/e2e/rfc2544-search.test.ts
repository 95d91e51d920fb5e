// e2e/rfc2544-search.test.ts — the search with real generators, on a path of known capacity.
//
// A bridge polices frames by their number. It drops, where a shaper or the bridge alone would hold
// back the sender. Both generators have to find the same rate; TRex takes part where a release is
// named by TREX_DIR.

import { expect, it } from 'vitest';
import { builtinGenerator } from '../../bench/rfc2544/builtin.ts';
import { frameMix } from '../../bench/rfc2544/frames.ts';
import { throughput } from '../../bench/rfc2544/methods/throughput.ts';
import type { End, Path } from '../../bench/rfc2544/path.ts';
import { settingsOf } from '../../bench/rfc2544/settings.ts';
import { trexGenerator } from '../../bench/rfc2544/trex.ts';
import type { Generator } from '../../bench/rfc2544/trial.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';

/** Frames a second that the policer lets through, and frames that it lets through at once. */
const capacity = 20_000;
const burst = 200;
const allowedLoss = 0.005;
/** How near both have to be to the truth: five percent of each other. */
const tolerance = 0.025;
const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const;

/** c1 and c2 at a bridge in a namespace of its own, forward policed. */
async function policed(lab: Lab): Promise<Path> {
  await lab.namespace('c1', 'c2', 'sw');
  await lab.must('sw', 'ip', ['link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0']);
  await lab.must('sw', 'ip', ['link', 'set', 'br0', 'up']);
  const ends: End[] = [];
  for (const [at, mac] of macs.entries()) {
    const [ns, port, ip] = [`c${at + 1}`, `p${at + 1}`, `10.0.0.${at + 1}`];
    await lab.veth({ ns, name: 'eth0', mac, ip: `${ip}/24` }, { ns: 'sw', name: port });
    await lab.must('sw', 'ip', ['link', 'set', port, 'master', 'br0']);
    const nextHopMac = macs[1 - at]!;
    ends.push({ namespace: lab.realName(ns), device: 'eth0', mac, ip, nextHopMac });
  }
  const chain = 'chain in { type filter hook ingress device "p1" priority 0; }';
  const limit = `limit rate over ${capacity}/second burst ${burst} packets drop`;
  const rules = `table netdev police {\n${chain}\n}\nadd rule netdev police in ${limit}\n`;
  await lab.must('sw', 'nft', ['-f', '-'], { input: rules });
  return { ends: [ends[0]!, ends[1]!] };
}

/** The throughput that is found with this generator, in frames a second. */
async function found(generator: Generator): Promise<number> {
  const common = { quick: false, rounds: 1, seconds: 1, flows: 1 };
  const wanted = { frames: '128', loss: '0.5', resolution: '1', direction: 'forward' };
  try {
    const asked = {
      ...{ generator, frames: frameMix('128'), direction: 'forward' as const },
      ...{ settings: settingsOf(wanted, common), step: () => undefined },
      signal: new AbortController().signal,
    };
    let rate: number | undefined;
    const limit = () => ({ rate: 1e6, isGenerator: false });
    await throughput(asked, 3 * capacity, 1, limit, ({ goals }) => {
      const [goal] = goals;
      expect(goal!.rounds[0], goal!.why).toMatchObject({ kind: 'found' });
      rate = goal!.figure?.rate;
    });
    return rate!;
  } finally {
    await generator.close();
  }
}

function expectCapacity(rate: number): void {
  const truth = capacity / (1 - allowedLoss);
  expect(rate).toBeGreaterThan(truth * (1 - tolerance));
  expect(rate).toBeLessThan(truth * (1 + tolerance));
}

describeWith(['root', 'veth', 'bridge', 'command:nft'], 'a path that drops above its rate', () => {
  const lab = useLab();

  it('is found by the built-in generator', async () => {
    expectCapacity(await found(await builtinGenerator(await policed(lab()))));
  });

  it('is found by TRex, within five percent of that', async (context) => {
    const { TREX_DIR: trexPath } = process.env;
    context.skip(trexPath === undefined, 'no TRex: name the folder of a release by TREX_DIR');
    const trex = await trexGenerator(await policed(lab()), { trexHost: undefined, trexPath });
    expectCapacity(await found(trex));
  });
});
