// bench/report.ts — what every bench hands in: one document of rows and ratios.
//
// A row is a figure of one system in one case: the median over rounds with its range. Means follow
// the one round in which the machine did something else. A document says on which machine and
// commit it was made; absolute times of different machines are not to be compared.

import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import type { Rfc2544Document } from './rfc2544/document.ts';

/** What is measured of what: the columns of a row that are not figures. */
export interface Subject {
  /** "encap, burst 8": what is done, and under which conditions. */
  readonly case: string;
  /** Distinct flows among the packets; where there are no flows, the size that the case varies. */
  readonly flows: number;
  /** "vtepd", "ovs-dpdk": who does it. */
  readonly system: string;
  /** With its unit: "cycles per packet", "Mpps". */
  readonly metric: string;
}

export interface Row extends Subject {
  readonly bench: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** How many figures the median is of. */
  readonly rounds: number;
}

/** How many times better we are than `peer`: above 1 we win, whatever the metric's direction. */
export interface Ratio {
  readonly case: string;
  readonly flows: number;
  readonly peer: string;
  readonly metric: string;
  readonly ratio: number;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  /** Load average of the last minute when the bench began: above zero, figures mean less. */
  readonly load: number;
  /** Versions of the systems that took part, by name. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface Document {
  readonly machine: Machine;
  readonly commit: string;
  readonly rows: readonly Row[];
  readonly ratios: readonly Ratio[];
  /** All of what rfc2544 found; rows have only what fits into rows. */
  readonly rfc2544?: Rfc2544Document;
}

/** Whether more is better: packets a second are, cycles and microseconds are not. */
const moreIsBetter = (metric: string): boolean => /\/s$|^Mpps$/.test(metric);

/** Collects the figures of one run. */
export class Report {
  readonly bench: string;
  readonly rows: Row[] = [];
  readonly ratios: Ratio[] = [];
  readonly #versions: Record<string, string> = {};
  readonly #machine = machineOf();
  #rfc2544: Rfc2544Document | undefined;

  constructor(bench: string) {
    this.bench = bench;
  }

  /** Adds a row for the figures of all rounds; none is an error. */
  add(subject: Subject, figures: readonly number[]): Row {
    if (figures.length === 0) throw new Error(`no figures: ${JSON.stringify(subject)}`);
    const { case: name, flows, system, metric } = subject;
    const row = {
      ...{ bench: this.bench, case: name, flows, system, metric },
      ...{ median: rounded(quantile(figures, 0.5)) },
      ...{ min: rounded(Math.min(...figures)), max: rounded(Math.max(...figures)) },
      rounds: figures.length,
    };
    this.rows.push(row);
    return row;
  }

  /** Compares two rows of one metric: how many times better `ours` is. */
  compare(ours: Row, theirs: Row, peer = theirs.system): void {
    const better = moreIsBetter(ours.metric);
    const ratio = better ? ours.median / theirs.median : theirs.median / ours.median;
    const { case: name, flows, metric } = ours;
    this.ratios.push({ case: name, flows, peer, metric, ratio: rounded(ratio) });
  }

  version(system: string, version: string): void {
    this.#versions[system] = version;
  }

  /** Adds a document of a bench that has more to tell than rows. */
  attach(document: Rfc2544Document): void {
    this.#rfc2544 = document;
  }

  document(): Document {
    const machine = { ...this.#machine, versions: this.#versions };
    const { rows, ratios } = this;
    return { machine, commit: commitOf(), rows, ratios, rfc2544: this.#rfc2544 };
  }
}

/** The value that `share` of the list is not above; NaN of an empty list. */
export function quantile(list: readonly number[], share: number): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Four digits are more than any bench can stand by. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function machineOf(): Omit<Machine, 'versions'> {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    load: loadavg()[0] ?? 0,
  };
}

/** The commit, with "+" when files differ from it. */
function commitOf(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? '+' : ''}`;
  } catch {
    return 'unknown';
  }
}
