// bench/rfc2544/document.ts — all that a run found, as the report keeps it.
//
// It grows while the run goes on and is whole at every moment, so that an interrupted run has a
// report too, marked as partial. Rates in it are frames a second in each direction.

import type { ExtraRow } from './extras.ts';
import type { BackToBackResult } from './methods/back-to-back.ts';
import type { FrameLossResult } from './methods/frame-loss.ts';
import type { LatencyResult } from './methods/latency.ts';
import type { ThroughputResult } from './methods/throughput.ts';
import type { ScenarioName } from './path.ts';
import type { Direction, Settings } from './settings.ts';
import type { FrameMix } from './trial.ts';

/** One system in one scenario with one kind of frames: a cell of the tables. */
export interface Cell {
  readonly system: string;
  /** undefined: the generator with itself. */
  readonly scenario: ScenarioName | undefined;
  readonly frames: FrameMix;
  readonly direction: Direction;
  throughput?: ThroughputResult;
  loss?: FrameLossResult;
  latency?: readonly LatencyResult[];
  backToBack?: BackToBackResult;
  /** Why there is nothing, or nothing more, in this cell. */
  why?: string;
}

export interface Rfc2544Document {
  /** Why the run did not come to its end; undefined when it did. */
  partial: string | undefined;
  readonly began: string;
  ended: string | undefined;
  readonly settings: Settings;
  generator: { readonly name: string; readonly version: string } | undefined;
  /** What the generator does without a device. */
  readonly limits: Cell[];
  readonly cells: Cell[];
  /** What was asked beyond RFC 2544. */
  readonly extras: ExtraRow[];
  /** What could not be measured, a sentence each. */
  readonly problems: string[];
}

export function emptyDocument(settings: Settings): Rfc2544Document {
  return {
    partial: undefined,
    began: new Date().toISOString(),
    ended: undefined,
    settings,
    generator: undefined,
    limits: [],
    cells: [],
    extras: [],
    problems: [],
  };
}

/** Whether two cells are of the same frames and directions. */
export function isSameLoad(a: Cell, b: Cell): boolean {
  return a.frames.name === b.frames.name && a.direction === b.direction;
}

/** The rate of the strictest goal that has one. */
export function rateOf(cell: Pick<Cell, 'throughput'>): number | undefined {
  return cell.throughput?.goals.find(({ figure }) => figure !== undefined)?.figure?.rate;
}
