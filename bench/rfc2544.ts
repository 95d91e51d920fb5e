// bench/rfc2544.ts — what a host can carry, by the method of RFC 2544: throughput, frame loss,
// latency, back-to-back.
//
// This file joins command line, parts and report; rfc2544/run.ts is the run itself. Interrupted, it
// hands in what it has, marked as partial.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, type BenchOptions, Lack } from './bench.ts';
import { note, Progress } from './progress.ts';
import type { Document, Report } from './report.ts';
import { emptyDocument, type Rfc2544Document } from './rfc2544/document.ts';
import { extras, type GeneratorKind, generators, loopName, systemsOf } from './rfc2544/parts.ts';
import type { System } from './rfc2544/path.ts';
import { markdown } from './rfc2544/report/markdown.ts';
import { page } from './rfc2544/report/page.ts';
import { addRows } from './rfc2544/report/rows.ts';
import { expectedSeconds, run } from './rfc2544/run.ts';
import { optionSummaries, type Settings, settingsOf } from './rfc2544/settings.ts';

const options = {
  ...optionSummaries,
  generator: 'NAME: builtin or trex',
  trex: 'HOST: where a TRex server runs; without it one is started beside the devices',
  'trex-path': 'DIR: a TRex release; also TREX_DIR, /opt/trex*',
  topology: 'FILE: named devices in place of namespaces (lab.yaml)',
  out: 'DIR: report.json, report.md and report.html go there, also while it runs',
} as const;

type Own = Readonly<Partial<Record<keyof typeof options, string>>>;

/** By name, or by what a family of names begins with: vtepd for vtepd-af-packet. */
const isOf =
  (names: readonly string[]) =>
  ({ name }: System): boolean =>
    names.some((one) => name === one || name.startsWith(`${one}-`));

function unknownName(option: string, name: string, all: readonly { name: string }[]): Error {
  const known = all.map((one) => one.name).join(', ');
  return new Error(`--${option} ${name}: there is none of this name; there are ${known}`);
}

function named(all: readonly System[], names: readonly string[]): System[] {
  const unknown = names.find((name) => !all.some(isOf([name])));
  if (unknown !== undefined) throw unknownName('system', unknown, all);
  return all.filter(isOf(names));
}

/** The systems that take part: those that were asked for, or all that this machine can run. */
function taking(all: readonly System[], { systems }: Settings, isAsked: boolean): System[] {
  const tested = all.filter(({ name }) => name !== loopName);
  // A preset's system may not be in a topology file, which names what it has.
  const isAll = systems.length === 0 || (!isAsked && !tested.some(isOf(systems)));
  const wanted = isAll ? tested : named(tested, systems);
  const able = wanted.filter((system) => {
    const lack = system.lack();
    if (lack !== undefined) note(`skipped: ${system.name}: ${lack}`);
    return lack === undefined;
  });
  if (able.length === 0) throw new Lack('rfc2544: there is no system that this machine can run');
  return able;
}

function generatorKind(name: string | undefined): GeneratorKind {
  const kind = name === undefined ? generators[0] : generators.find((one) => one.name === name);
  if (kind === undefined) throw unknownName('generator', name ?? '', generators);
  return kind;
}

/** Systems in namespaces, or of a file; what is wrong with that, with the option's name. */
function allSystems(topology: string | undefined): readonly System[] {
  try {
    return systemsOf(topology);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`--topology ${topology}: ${message}`, { cause });
  }
}

/** The three forms of the report. */
function writer(folder: string | undefined): (document: Document, own: Rfc2544Document) => void {
  if (folder === undefined) return () => undefined;
  mkdirSync(folder, { recursive: true });
  return (document, own) => {
    const whole = { ...document, rfc2544: own };
    writeFileSync(join(folder, 'report.json'), `${JSON.stringify(whole, undefined, 2)}\n`);
    writeFileSync(join(folder, 'report.md'), markdown(document, own));
    writeFileSync(join(folder, 'report.html'), page(document, own));
  };
}

async function measure(report: Report, wanted: BenchOptions): Promise<void> {
  const own: Own = wanted.own;
  const settings = settingsOf(own, { ...wanted, flows: wanted.flows[0] });
  const kind = generatorKind(own.generator);
  const all = allSystems(own.topology);
  const loop = all.find(({ name }) => name === loopName);
  if (loop === undefined) throw new Lack('rfc2544: there is no loop to measure the generator by');
  const systems = taking(all, settings, own.system !== undefined);
  const lack = loop.lack();
  if (lack !== undefined) throw new Lack(`rfc2544: ${lack}`);
  const document = emptyDocument(settings);
  const write = writer(own.out);
  const progress = new Progress(report.bench, expectedSeconds(settings, systems.length));
  const trex = { trexHost: own.trex, trexPath: own['trex-path'] };
  try {
    await run({
      ...{ document, loop, systems, signal: wanted.signal, note },
      extras: extras.filter(({ name }) => settings.extras.includes(name)),
      generatorOf: (path) => kind.make(path, trex),
      step: (what, seconds) => progress.step(what, seconds),
      version: (system, version) => report.version(system, version),
      keep: () => {
        if (!wanted.signal.aborted) document.partial = 'The run has not ended yet.';
        write(report.document(), document);
      },
    });
  } finally {
    addRows(report, document);
    report.attach(document);
    write(report.document(), document);
  }
  progress.done();
}

export const rfc2544Bench: Bench = {
  name: 'rfc2544',
  summary: 'throughput, loss, latency, bursts by RFC 2544: vtepd and peers in four scenarios',
  options,
  isInterruptible: true,
  run: measure,
  show: (document) => markdown(document, document.rfc2544!),
};
