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
];

/** Turn a document in a file into something to look at. */
const views = [
  { name: 'tables', summary: 'FILE: the tables of a document that --json made', show: tables },
  { name: 'plot', summary: 'FILE: its cycles per packet by flows, as an SVG picture', show: plot },
] as const;

const usage = `usage: npm run bench                    lists the benches
       npm run -s bench -- NAME [options]    runs one
  --json              prints one document of all figures instead of tables
  --quick             a smoke test of some seconds: its figures mean little
  --rounds N          how often each figure is taken
  --seconds S         how long each round takes
  --case A,B          only these cases
  --flows N,M         only these numbers of flows`;

/** Exit codes. 0: measured; lack: this machine has not what the bench needs. */
const exit = { failed: 1, usage: 2, lack: 3, interrupted: 130 };

function numbers(text: string, option: string): number[] {
  return text.split(',').map((part) => {
    const value = Number(part);
    if (Number.isFinite(value) && value > 0) return value;
    throw new Error(`${option} ${text}: wants numbers above 0`);
  });
}

function parsed(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      case: { type: 'string' },
      flows: { type: 'string' },
    },
  });
  const options: BenchOptions = {
    quick: values.quick,
    rounds: values.rounds === undefined ? undefined : numbers(values.rounds, '--rounds')[0],
    seconds: values.seconds === undefined ? undefined : numbers(values.seconds, '--seconds')[0],
    cases: values.case?.split(',') ?? [],
    flows: values.flows === undefined ? [] : numbers(values.flows, '--flows'),
  };
  return { name: positionals[0], file: positionals[1], json: values.json, options };
}

function list(): string {
  const all = [...benches, ...views];
  const width = Math.max(...all.map(({ name }) => name.length));
  const lines = all.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `${lines.join('\n')}\n\n${usage}\n`;
}

async function main(args: readonly string[]): Promise<number> {
  const { name, file, json, options } = parsed(args);
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
  const bench = benches.find((one) => one.name === name);
  if (bench === undefined) {
    note(`no bench ${name}\n\n${list()}`);
    return exit.usage;
  }
  const report = new Report(bench.name);
  await bench.run(report, options);
  const document = report.document();
  process.stdout.write(json ? `${JSON.stringify(document, undefined, 2)}\n` : tables(document));
  return 0;
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Lack) return exit.lack;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('ERR_PARSE_ARGS') ? exit.usage : exit.failed;
}

// Interrupted, a bench still undoes what it did to the machine: labs and peers do that at exit.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(exit.interrupted));
}
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  note(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = exitCodeOf(error);
}
