// bench/rfc2544/extra/soak.ts — a rate held for a long time: how much is lost, and when.
//
// One trial, whose losses are also counted for each part of it in the order of sending: what a
// table that fills up, a timer or a leak does after minutes shows in the late parts.
// Source: RFC 8204, section 3.4 (long runs); CSIT's soak tests.

import {
  type Extra,
  type ExtraRow,
  type ExtraSetting,
  isBuiltinResult,
  lostOf,
  rowsOf,
  withSystem,
} from './extra.ts';

const partsMax = 60;
const direction = 'both';

async function run(setting: ExtraSetting): Promise<readonly ExtraRow[]> {
  const { systems, options, progress } = setting;
  const { frames, rate, seconds, flows, scenario, signal } = options;
  const count = Math.max(1, Math.round(rate * seconds));
  const parts = Math.max(1, Math.min(partsMax, Math.floor(seconds)));
  const block = Math.ceil(count / parts);
  const rows: ExtraRow[] = [];
  for (const system of systems) {
    progress(`${system.name}: ${seconds} s at ${Math.round(rate)} frames/s`, seconds);
    const load = { frames, rate, count, direction, flows } as const;
    const result = await withSystem(setting, system, (generator) =>
      generator.trial(load, signal, { block }),
    );
    const about = { extra: soak.name, system: system.name, scenario };
    const all = { 'lost frames': lostOf(result) };
    rows.push(...rowsOf({ ...about, case: 'all' }, all, result.fault));
    if (result.fault !== undefined || !isBuiltinResult(result)) continue;
    for (let part = 0; part * block < count; part += 1) {
      const lost = result.counts.reduce((sum, one) => sum + (one.lostByBlock[part] ?? 0), 0);
      const from = (part * block) / rate;
      const name = `from ${from.toFixed(1)} s`;
      rows.push(...rowsOf({ ...about, case: name }, { 'lost frames': lost }, undefined));
    }
  }
  return rows;
}

export const soak: Extra = {
  name: 'soak',
  summary: 'a rate held for a long time: loss as a whole and by part of the time',
  run,
};
