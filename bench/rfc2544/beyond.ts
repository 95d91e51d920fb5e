// bench/rfc2544/beyond.ts — the extras of a run: every system that has a throughput is asked them.
//
// They load a system with half of what it carried in the first scenario with the first frames, so
// that what is lost is due to what happens and not to the load; or with the rate that was asked
// for.

import { rateOf } from './document.ts';
import type { Extra } from './extras.ts';
import type { System } from './path.ts';
import type { Run } from './run.ts';

const share = 0.5;

/** Adds the rows of all extras to the document; what fails is a sentence in it. */
export async function beyond(all: Run, extras: readonly Extra[]): Promise<void> {
  for (const extra of extras) {
    for (const system of all.systems) await ask(all, extra, system);
  }
}

async function ask(all: Run, extra: Extra, system: System): Promise<void> {
  const { document, signal } = all;
  const { settings } = document;
  const [scenario, frames] = [settings.scenarios[0]!, settings.frames[0]!];
  try {
    const rate = settings.extraRate ?? share * carried(all, system);
    const rows = await extra.run({
      generator: all.generatorOf,
      systems: [system],
      options: {
        ...{ frames, rate, scenario, signal },
        ...{ seconds: settings.extraSeconds, flows: settings.flows },
      },
      progress: (what, seconds) => {
        signal.throwIfAborted();
        all.step(`${extra.name}, ${what}`, seconds);
      },
    });
    document.extras.push(...rows);
    all.keep();
  } catch (error) {
    if (signal.aborted) throw error;
    const sentence = `${extra.name}, ${system.name}: ${(error as Error).message}`;
    document.problems.push(sentence);
    all.note(sentence);
  }
}

/** Frames a second in each direction that the system passed in the run's first scenario. */
function carried({ document }: Run, { name }: System): number {
  const { scenarios, frames } = document.settings;
  const cells = document.cells.filter(
    (cell) =>
      cell.system === name &&
      cell.scenario === scenarios[0] &&
      cell.frames.name === frames[0]!.name,
  );
  const rates = cells.flatMap((cell) => rateOf(cell) ?? []);
  if (rates.length > 0) return Math.min(...rates);
  throw new Error('no throughput is known to load it by; say --extra-rate');
}
