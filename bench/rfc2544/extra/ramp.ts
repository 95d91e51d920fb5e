// bench/rfc2544/extra/ramp.ts — 1 to 1,000,000 flows at one rate: what each step loses and adds.
//
// Before each step all of its flows are sent once, so that what is counted is the carrying of many
// known flows and not their set-up. One direction, so that there are as many connections as flows;
// vtepd gets tables for all of them, as an operator would configure.

import type { System } from '../path.ts';
import { VtepdSystem } from '../topology/vtepd.ts';
import {
  type Extra,
  type ExtraRow,
  type ExtraSetting,
  lostOf,
  quantileOf,
  rowsOf,
  withSystem,
} from './extra.ts';

export const rampSteps = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
const percent = 100;

/** With room for all connections of the last step, and as many again for those before. */
const roomy = (system: System): System =>
  system instanceof VtepdSystem ? system.withConnections(2 * rampSteps.at(-1)!) : system;

async function run(setting: ExtraSetting): Promise<readonly ExtraRow[]> {
  const { systems, options, progress } = setting;
  const { frames, rate, seconds, scenario, signal } = options;
  const rows: ExtraRow[] = [];
  const load = (flows: number, count: number) =>
    ({ frames, rate, count, direction: 'forward', flows }) as const;
  for (const system of systems) {
    await withSystem(setting, roomy(system), async (generator) => {
      for (const flows of rampSteps) {
        const count = Math.max(Math.round(rate * seconds), flows);
        progress(`${system.name}: ${flows} flows`, (count + flows) / rate);
        await generator.trial(load(flows, flows), signal);
        const result = await generator.trial(load(flows, count), signal);
        const about = { extra: ramp.name, system: system.name, scenario, case: `${flows} flows` };
        const values = {
          'lost %': (percent * lostOf(result)) / count,
          'received frames/s': (count - lostOf(result)) / result.seconds,
          'p99 us': quantileOf(
            result.counts.map(({ latency }) => latency),
            0.99,
          ),
        };
        rows.push(...rowsOf(about, values, result.fault));
      }
    });
  }
  return rows;
}

export const ramp: Extra = {
  name: 'many-flows',
  summary: '1 to 1,000,000 flows at one rate: loss, rate received and latency of each step',
  run,
};
