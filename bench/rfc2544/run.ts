// bench/rfc2544/run.ts — the order of a run: first the generator alone, then every system in every
// scenario, with all frames and methods.
//
// Systems and generator come from outside (parts.ts), so that a simulated device can be put through
// the same. What fails is a sentence in the document, and the run goes on with what is next; only a
// generator that fails without a device ends it, since then nothing can be said of any.

import { beyond } from './beyond.ts';
import { type Cell, isSameLoad, type Rfc2544Document, rateOf } from './document.ts';
import type { Extra } from './extras.ts';
import { lineRate } from './frames.ts';
import type { Asked } from './methods/asked.ts';
import { warmUp } from './methods/asked.ts';
import { backToBack, backToBackSeconds } from './methods/back-to-back.ts';
import { frameLoss, frameLossSeconds } from './methods/frame-loss.ts';
import { latency, latencySeconds } from './methods/latency.ts';
import { type Limit, searchSeconds, throughput } from './methods/throughput.ts';
import type { Path, ScenarioName, System } from './path.ts';
import type { Settings } from './settings.ts';
import type { Generator } from './trial.ts';

export interface Run {
  readonly document: Rfc2544Document;
  /** Two ends with nothing between them: what the generator itself does. */
  readonly loop: System;
  readonly systems: readonly System[];
  readonly extras: readonly Extra[];
  readonly generatorOf: (path: Path) => Promise<Generator>;
  readonly signal: AbortSignal;
  readonly step: (what: string, seconds: number) => void;
  /** A sentence for people. */
  readonly note: (text: string) => void;
  readonly version: (system: string, version: string) => void;
  /** There is something new in the document. */
  readonly keep: () => void;
}

/** Building a system and taking it down again. */
const aroundSeconds = 5;

type Kind = Pick<Cell, 'frames' | 'direction'>;

function kindsOf({ frames, directions }: Settings): Kind[] {
  return frames.flatMap((one) => directions.map((direction) => ({ frames: one, direction })));
}

/** Some systems are in some of the places only: those of a topology file. */
const has = ({ scenarios }: System, scenario: ScenarioName): boolean =>
  scenarios === undefined || scenarios.includes(scenario);

/** Seconds that a run may take, for the time left. */
export function expectedSeconds(settings: Settings, systems: number): number {
  const { methods, rounds, warmUpSeconds } = settings;
  const one = searchSeconds({ settings }) + warmUpSeconds;
  const cell =
    rounds * searchSeconds({ settings }) +
    warmUpSeconds +
    (methods.includes('loss') ? frameLossSeconds({ settings }) : 0) +
    (methods.includes('latency') ? latencySeconds({ settings }) : 0) +
    (methods.includes('back-to-back') ? backToBackSeconds({ settings }) : 0);
  const kinds = kindsOf(settings).length;
  const places = systems * settings.scenarios.length;
  const extras = systems * settings.extras.length * (aroundSeconds + settings.extraSeconds);
  return kinds * one + aroundSeconds + places * (aroundSeconds + kinds * cell) + extras;
}

/** Fills the document; rejects when there is nothing to report but the reasons. */
export async function run(all: Run): Promise<void> {
  const { document, signal } = all;
  try {
    await alone(all);
    all.keep();
    for (const scenario of document.settings.scenarios) {
      for (const system of all.systems) {
        if (has(system, scenario)) await place(all, system, scenario);
      }
    }
    if (document.cells.length === 0) {
      throw new Error(document.problems[0] ?? 'No system has any of the scenarios.');
    }
    await beyond(all, all.extras);
  } catch (error) {
    if (!signal.aborted) {
      document.partial = `The run ended early: ${messageOf(error)}`;
      throw error;
    }
    document.partial = 'The run was interrupted: what follows is what was measured until then.';
    return;
  } finally {
    document.ended = new Date().toISOString();
  }
  document.partial = undefined;
}

/** The first line: what programs said in the end is for their logs. */
const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0]!;

/** Builds, measures and takes down again. */
async function within(
  all: Run,
  system: System,
  scenario: ScenarioName,
  measure: (generator: Generator) => Promise<void>,
): Promise<void> {
  all.step(`${system.name}, ${scenario}: building`, aroundSeconds);
  all.signal.throwIfAborted();
  let generator: Generator | undefined;
  try {
    const path = await system.build(scenario);
    all.version(system.name, await system.version());
    generator = await all.generatorOf(path);
    const { name, version } = generator;
    all.document.generator = { name, version };
    await measure(generator);
  } finally {
    try {
      await generator?.close();
    } finally {
      await system.close();
    }
  }
}

/** What the generator does without a device: the limit of all that follows. */
async function alone(all: Run): Promise<void> {
  const { document, loop } = all;
  const { settings, limits } = document;
  const scenario = settings.scenarios.find((one) => has(loop, one)) ?? loop.scenarios?.[0];
  if (scenario === undefined) throw new Error(`${loop.name} has no scenario at all`);
  await within(all, loop, scenario, async (generator) => {
    for (const kind of kindsOf(settings)) {
      const cell: Cell = { system: loop.name, scenario: undefined, ...kind };
      limits.push(cell);
      const asked = askedOf(all, generator, cell, `generator alone, ${nameOf(kind)}`);
      const highest = Math.floor(lineRate(kind.frames, settings.lineGbits));
      await warmUp(asked, highest);
      // The range ends at the rate of the line: that is no limit of the generator.
      const unlimited: Limit = { rate: highest, isGenerator: false };
      await measureRates(asked, cell, { highest, rounds: 1, limitOf: () => unlimited });
      const rate = rateOf(cell);
      if (rate !== undefined && settings.methods.includes('latency')) {
        cell.latency = await latency(asked, rate);
      }
    }
  });
  const said = limits.filter((cell) => rateOf(cell) === undefined).map(limitSentence);
  document.problems.push(...said);
  for (const sentence of said) all.note(sentence);
  if (said.length === limits.length) {
    throw new Error(said[0] ?? 'The generator was asked for nothing.');
  }
}

function limitSentence(cell: Cell): string {
  const why = cell.throughput?.goals.at(-1)?.why ?? '';
  return `Without any device, ${nameOf(cell)}: ${why} Nothing can be said of a device.`;
}

const nameOf = ({ frames, direction }: Kind): string =>
  `${frames.name}${/^\d+$/.test(frames.name) ? ' bytes' : ''}, ${direction}`;

/** What the generator does alone, for the frames of a cell and an allowed loss. */
export function limitOf(document: Rfc2544Document, cell: Cell, loss: number): Limit {
  const own = document.limits.find((one) => isSameLoad(one, cell));
  const goal = own?.throughput?.goals.find((one) => one.loss === loss);
  if (own === undefined || goal?.figure === undefined) {
    const why = goal?.why ?? own?.why ?? 'It was not measured.';
    return { why: `The generator has no limit that is known: without any device, ${why}` };
  }
  const isRange = goal.rounds.every((one) => one.kind === 'at-least' && !one.isGenerator);
  return { rate: goal.figure.rate, isGenerator: !isRange };
}

function askedOf(all: Run, generator: Generator, cell: Cell, where: string): Asked {
  return {
    ...{ generator, frames: cell.frames, direction: cell.direction, signal: all.signal },
    settings: all.document.settings,
    step: (what, seconds) => all.step(`${where}: ${what}`, seconds),
  };
}

/** One system in one scenario. */
async function place(all: Run, system: System, scenario: ScenarioName): Promise<void> {
  const { document } = all;
  try {
    await within(all, system, scenario, async (generator) => {
      for (const kind of kindsOf(document.settings)) {
        const cell: Cell = { system: system.name, scenario, ...kind };
        document.cells.push(cell);
        await measureCell(all, generator, cell);
        all.keep();
      }
    });
  } catch (error) {
    if (all.signal.aborted) throw error;
    const sentence = `${system.name}, ${scenario}: ${messageOf(error)}`;
    document.problems.push(sentence);
    all.note(sentence);
  }
}

async function measureCell(all: Run, generator: Generator, cell: Cell): Promise<void> {
  const { settings } = all.document;
  const limits = settings.losses.map((loss) => limitOf(all.document, cell, loss));
  const rates = limits.flatMap((limit) => ('rate' in limit ? [limit.rate] : []));
  if (rates.length === 0) {
    const [first] = limits;
    cell.why = first !== undefined && 'why' in first ? first.why : 'There is no generator.';
    return;
  }
  const highest = Math.floor(Math.max(...rates));
  const where = `${cell.system}, ${cell.scenario}, ${nameOf(cell)}`;
  const asked = askedOf(all, generator, cell, where);
  try {
    await warmUp(asked, highest);
    const limit = (loss: number) => limitOf(all.document, cell, loss);
    await measureRates(asked, cell, { highest, rounds: settings.rounds, limitOf: limit });
    await others(asked, cell);
  } catch (error) {
    cell.why = all.signal.aborted ? 'The run was interrupted.' : messageOf(error);
    throw error;
  }
}

interface Range {
  readonly highest: number;
  readonly rounds: number;
  readonly limitOf: (loss: number) => Limit;
}

async function measureRates(asked: Asked, cell: Cell, { highest, rounds, limitOf }: Range) {
  await throughput(asked, highest, rounds, limitOf, (result) => {
    cell.throughput = result;
  });
}

/** The methods that need to know the throughput. */
async function others(asked: Asked, cell: Cell): Promise<void> {
  const { methods } = asked.settings;
  const rate = rateOf(cell);
  const lossless = cell.throughput?.goals.find(({ loss }) => loss === 0)?.figure?.rate;
  const highest = greatestSent(cell);
  if (methods.includes('loss')) cell.loss = await frameLoss(asked, highest, rate);
  if (methods.includes('latency') && rate !== undefined) cell.latency = await latency(asked, rate);
  if (methods.includes('back-to-back')) {
    cell.backToBack = await backToBack(asked, highest, lossless);
  }
}

/**
 * The greatest rate that the generator made in the searches: with a device on the same processors
 * that can be less than without one.
 */
function greatestSent({ throughput }: Cell): number {
  const sent = (throughput?.trials.flat() ?? []).filter(({ fault }) => fault === undefined);
  return Math.max(1, ...sent.map(({ load }) => load));
}
