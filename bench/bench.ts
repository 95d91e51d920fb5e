// bench/bench.ts — what a bench is: a name, a line for people, and a run that fills a report.
//
// main.ts lists them all and runs one. Every bench knows the same options; which of them mean
// something to it, its line in bench/README.md says. A bench may have more of its own.

import type { Document, Report } from './report.ts';

export interface BenchOptions {
  /** A smoke test of some seconds; its figures mean little. */
  readonly quick: boolean;
  /** How often each figure is taken; each bench has its own default. */
  readonly rounds: number | undefined;
  /** How long each round takes, in seconds. */
  readonly seconds: number | undefined;
  /** Only these cases, by name; empty: all. */
  readonly cases: readonly string[];
  /** Only these numbers of flows; empty: the bench's own. */
  readonly flows: readonly number[];
  /** What was said to the bench's own options. */
  readonly own: Readonly<Record<string, string | undefined>>;
  /** Aborted when somebody interrupts a bench that is interruptible. */
  readonly signal: AbortSignal;
}

export interface Bench {
  readonly name: string;
  readonly summary: string;
  /** Options of its own, each with a value, and their lines of help: "A,B: which ones". */
  readonly options?: Readonly<Record<string, string>>;
  /** Interrupted, it ends by itself and has a report of what it did; others just end. */
  readonly isInterruptible?: boolean;
  /** What people see of its document; undefined: the tables of all benches. */
  readonly show?: (document: Document) => string;
  /** Throws when what was measured is not what should have been. */
  readonly run: (report: Report, options: BenchOptions) => Promise<void> | void;
}

/** What this machine lacks for a bench, or for a part of it, and how to get it. */
export class Lack extends Error {}

/** Those of `all` that were named; all of them if none was. Unknown names are an error. */
export function chosen<Item extends { readonly name: string }>(
  all: readonly Item[],
  names: readonly string[],
): readonly Item[] {
  const unknown = names.filter((name) => !all.some((one) => one.name === name));
  if (unknown.length > 0) {
    const known = all.map(({ name }) => name).join(', ');
    throw new Error(`no case ${unknown.join(', ')}; there are ${known}`);
  }
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
}
