// bench/main.ts — npm run bench: lists the benches, or runs one and prints what it found.
//
// Standard output gets tables, or with --json one document (report.ts) and nothing else; progress
// and complaints go to standard error. A document kept in a file becomes tables again by `tables`.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Bench, type BenchOptions, Lack } from './bench.ts';
import { connectionsBench } from './connections.ts';
import { datapathBench } from './datapath.ts';
import { flowBench } from './flow.ts';
import { netnsBench } from './netns.ts';
import { peersBench } from './peers.ts';
import { plot } from './plot.ts';
import { note } from './progress.ts';
import { type Document, Report } from './report.ts';
import { page } from './rfc2544/report/page.ts';
import { rfc2544Bench } from './rfc2544.ts';
import { tables } from './tables.ts';
import { translateBench } from './translate.ts';
import { upcallBench } from './upcall.ts';

const benches: readonly Bench[] = [
  datapathBench,
  peersBench,
  connectionsBench,
  flowBench,
  upcallBench,
  translateBench,
  netnsBench,
  rfc2544Bench,
];

function pageOf(document: Document): string {
  if (document.rfc2544 !== undefined) return page(document, document.rfc2544);
  throw new Error('the document is not of rfc2544');
}

/** Turn a document in a file into something to look at. */
const views = [
  { name: 'tables', summary: 'FILE: the tables of a document that --json made', show: tables },
  { name: 'plot', summary: 'FILE: its cycles per packet by flows, as an SVG picture', show: plot },
  { name: 'page', summary: 'FILE: what rfc2544 found, as a web page', show: pageOf },
] as const;

const usage = `usage: npm run bench                    lists the benches
       npm run -s bench -- NAME [options]    runs one
  --json              prints one document of all figures instead of tables
  --quick             a smoke test of some seconds: its figures mean little
  --rounds N          how often each figure is taken
  --seconds S         how long each round takes
  --case A,B          only these cases
  --flows N,M         only these numbers of flows
  --help              with a name: the options of its own, if it has any`;

/** Exit codes. 0: measured; lack: this machine has not what the bench needs. */
const exit = { failed: 1, usage: 2, lack: 3, interrupted: 130 };

function numbers(text: string, option: string): number[] {
  return text.split(',').map((part) => {
    const value = Number(part);
    if (Number.isFinite(value) && value > 0) return value;
    throw new Error(`${option} ${text}: wants numbers above 0`);
  });
}

/** An option that the bench does not have, or one that is used wrongly. */
class UsageError extends Error {}

const commonOptions = {
  json: { type: 'boolean', default: false },
  quick: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  case: { type: 'string' },
  flows: { type: 'string' },
} as const;

const ownOptions = new Set(benches.flatMap(({ options = {} }) => Object.keys(options)));

/** The options of all benches, and of this one alone what it says of its own. */
function parsed(args: readonly string[]) {
  const own = Object.fromEntries(
    [...ownOptions].map((name) => [name, { type: 'string' }] as const),
  );
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { ...own, ...commonOptions },
  });
  const [name, file] = positionals;
  const bench = benches.find((one) => one.name === name);
  const said: Readonly<Record<string, unknown>> = values;
  for (const option of ownOptions) {
    if (said[option] === undefined || bench?.options?.[option] !== undefined) continue;
    throw new UsageError(`--${option}: no option of ${name ?? 'the list'}`);
  }
  const given = Object.fromEntries(
    [...ownOptions].flatMap((option) =>
      said[option] === undefined ? [] : [[option, String(said[option])]],
    ),
  );
  const options: Omit<BenchOptions, 'signal'> = {
    quick: values.quick,
    rounds: values.rounds === undefined ? undefined : numbers(values.rounds, '--rounds')[0],
    seconds: values.seconds === undefined ? undefined : numbers(values.seconds, '--seconds')[0],
    cases: values.case?.split(',') ?? [],
    flows: values.flows === undefined ? [] : numbers(values.flows, '--flows'),
    own: given,
  };
  return { name, file, bench, json: values.json, help: values.help, options };
}

function list(): string {
  const all = [...benches, ...views];
  const width = Math.max(...all.map(({ name }) => name.length));
  const lines = all.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `${lines.join('\n')}\n\n${usage}\n`;
}

/** What one bench is and which options it has of its own. */
function help({ name, summary, options = {} }: Bench): string {
  const all = Object.entries(options);
  const width = Math.max(0, ...all.map(([option]) => option.length));
  const lines = all.map(([option, line]) => `  --${option.padEnd(width)}  ${line}`);
  return `${[`${name}: ${summary}`, ...lines].join('\n')}\n\n${usage}\n`;
}

async function main(args: readonly string[]): Promise<number> {
  const { name, file, bench, json, help: isHelp, options } = parsed(args);
  if (name === undefined) {
    process.stdout.write(list());
    return 0;
  }
  const view = views.find((one) => one.name === name);
  if (view !== undefined) {
    if (file === undefined) throw new Error(`${name} wants the file of a document`);
    process.stdout.write(view.show(JSON.parse(readFileSync(file, 'utf8')) as Document));
    return 0;
  }
  if (bench === undefined) {
    note(`no bench ${name}\n\n${list()}`);
    return exit.usage;
  }
  if (isHelp) {
    process.stdout.write(help(bench));
    return 0;
  }
  const report = new Report(bench.name);
  const signal = interruptions(bench);
  await bench.run(report, { ...options, signal });
  const document = report.document();
  const show = bench.show ?? tables;
  process.stdout.write(json ? `${JSON.stringify(document, undefined, 2)}\n` : show(document));
  return signal.aborted ? exit.interrupted : 0;
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Lack) return exit.lack;
  if (error instanceof UsageError) return exit.usage;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('ERR_PARSE_ARGS') ? exit.usage : exit.failed;
}

/**
 * Interrupted, a bench still undoes what it did to the machine: labs and peers do that at exit. One
 * that is interruptible ends by itself at the first signal, and at once at the second.
 */
function interruptions({ isInterruptible = false }: Bench): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!isInterruptible || controller.signal.aborted) process.exit(exit.interrupted);
      note('bench: interrupted: ending this trial; once more ends at once');
      controller.abort();
    });
  }
  return controller.signal;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  note(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = exitCodeOf(error);
}
