// bench/programs.ts — runs the native benches of bench/native and reads what they print.
//
// They are built by `npm run build:native-tests -- bench`, which `npm run bench -- NAME` does by
// itself. Each prints one JSON object a line on standard output, and complains on standard error.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { mustRun } from '../test/support/process.ts';

/** Beside this folder, or beside that of the compiled benches. */
const folders = ['../build-native-bench/', '../../build-native-bench/'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);
const minuteMs = 60_000;

/** What datapath_bench is to do; see its header. */
export interface DatapathRun {
  readonly case: string;
  /** Not beside `pcap`, which has its own number. */
  readonly flows?: number;
  readonly burst?: number;
  readonly workers?: number;
  readonly order?: 'sequential' | 'random';
  readonly seconds: number;
  /** colliding: as an attacker would choose them; see bench/native/colliding.h. */
  readonly sources?: 'plain' | 'colliding';
  /** Samples once more as long, to tell in which stage the time went; one worker only. */
  readonly stages?: 'yes' | 'no';
  /** Takes the packets from here instead of making them. */
  readonly pcap?: string;
}

/** One line of datapath_bench or floor_bench. */
export interface DatapathRound {
  /** TSC cycles per packet: median over the bursts of the round. */
  readonly cycles: number;
  readonly mpps: number;
  /** Cycles per packet by stage of the worker's breath: rx, parse, lookup, run, tx, other. */
  readonly stages?: Readonly<Record<string, number>>;
}

/** One process, one round: where its tables lie in memory is part of the spread. */
export function datapathRound(wanted: DatapathRun): Promise<DatapathRound> {
  return oneRound('datapath_bench', { ...wanted });
}

/** The bare work of an encapsulation; see bench/native/floor_bench.cpp. */
export function floorRound(
  wanted: Omit<DatapathRun, 'case' | 'workers' | 'stages' | 'sources'>,
): Promise<DatapathRound> {
  return oneRound('floor_bench', { ...wanted });
}

/** Writes a capture file of what such a run gets. */
export async function writeInput(of: Omit<DatapathRun, 'seconds'>, path: string): Promise<void> {
  await output('datapath_bench', asArguments({ ...of, 'write-pcap': path }));
}

type Settings = Readonly<Record<string, string | number | undefined>>;

function asArguments(settings: Settings): string[] {
  return Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, String(value)],
  );
}

async function oneRound(program: string, settings: Settings): Promise<DatapathRound> {
  const args = asArguments({ ...settings, rounds: 1 });
  const [round] = await jsonLines<DatapathRound>(program, args);
  if (round === undefined) throw new Error(`${program} ${args.join(' ')} printed nothing`);
  return round;
}

/** Runs a program to its end; what it prints, a value a line. */
export async function jsonLines<Line>(program: string, args: readonly string[]): Promise<Line[]> {
  const lines = (await output(program, args)).split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Line);
}

/** Runs a program to its end; all that it prints is one value. */
export async function jsonReport<Value>(program: string, args: readonly string[]): Promise<Value> {
  return JSON.parse(await output(program, args)) as Value;
}

/** Where a program of bench/native is; throws when it is not there. */
export function programPath(program: string): string {
  const path = folders.map((folder) => `${folder}${program}`).find((one) => existsSync(one));
  if (path !== undefined) return path;
  throw new Error(`${program} is not built: npm run build:native-tests -- bench`);
}

async function output(program: string, args: readonly string[]): Promise<string> {
  return (await mustRun(programPath(program), [...args], { timeout: 10 * minuteMs })).stdout;
}
