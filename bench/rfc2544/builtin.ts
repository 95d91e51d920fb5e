// bench/rfc2544/builtin.ts — the generator that comes with vtepd, for machines without TRex.
//
// A program (bench/native/generator_bench.cpp) holds both ends of a path and runs one trial after
// the other: rate-paced, every frame numbered and stamped, so that loss, reordering, duplication
// and latency are counted and not estimated. It needs root. On devices of their own the host's
// stack goes on to answer ARP and neighbour discovery for the addresses that are configured on
// them; where an end's address is not on its device, nobody does, and next hops need static
// neighbours.

import { release } from 'node:os';
import { ManagedProcess } from '../../test/support/process.ts';
import { programPath } from '../programs.ts';
import type { End, Path } from './path.ts';
import type { Count, FrameMix, Generator, Load, Sample, TrialResult, Watch } from './trial.ts';

/** What this generator counts beyond what any does. */
export interface BuiltinCount extends Count {
  /** Within its flow: what a switch keeps in order. */
  readonly reordered: number;
  readonly duplicated: number;
  /** Least and most TTL (IPv6: hop limit) of what arrived; frames are sent with 64. */
  readonly ttl?: readonly [number, number];
  /** The most frames that were lost one after the other, and the number of the first of them. */
  readonly longestGap: { readonly frames: number; readonly at: number };
  /** Longest time between two arrivals, in microseconds. */
  readonly silence: number;
  /** How late a frame was sent, at most, in microseconds. */
  readonly late: number;
  /** Lost among each `block` frames in the order that they were sent; empty without `block`. */
  readonly lostByBlock: readonly number[];
}

export interface BuiltinResult extends TrialResult {
  readonly counts: readonly BuiltinCount[];
}

export interface BuiltinGenerator extends Generator {
  trial(load: Load, signal?: AbortSignal, watch?: Watch): Promise<BuiltinResult>;
}

export const flowMax = 1_000_000;
const sizesMax = 4096;
/** For stragglers, and for a machine that is busy. */
const patienceMs = 30_000;
const msPerSecond = 1000;

/**
 * Sizes of a mix in the order that repeats: each share as even as its weight allows.
 * @throws Error when weights are not whole numbers, or more than 4096 together
 */
export function sizesOf({ name, shares }: FrameMix): number[] {
  const divisor = shares.map(({ weight }) => weight).reduce(greatestCommonDivisor, 0);
  const weights = shares.map(({ weight }) => weight / divisor);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0 && total <= sizesMax) || weights.some((one) => !Number.isInteger(one))) {
    throw new Error(
      `mix ${name}: weights must be whole numbers above 0, at most ${sizesMax} together`,
    );
  }
  // Whoever is furthest behind its share is next.
  const credits = shares.map(() => 0);
  return Array.from({ length: total }, () => {
    for (const [at, weight] of weights.entries()) credits[at]! += weight;
    const next = credits.indexOf(Math.max(...credits));
    credits[next]! -= total;
    return shares[next]!.size;
  });
}

function greatestCommonDivisor(one: number, other: number): number {
  return other === 0 || !Number.isInteger(other) ? one : greatestCommonDivisor(other, one % other);
}

/** What the program answers: one of these a line. */
interface Answer {
  readonly trial?: Omit<BuiltinResult, 'fault'> & { readonly fault?: string };
  readonly sample?: Sample;
  readonly error?: string;
}

class Builtin implements BuiltinGenerator {
  readonly name = 'built-in';
  readonly version = `AF_PACKET of Linux ${release()}`;
  readonly #program: ManagedProcess;
  /** Characters of its output that were read. */
  #read = 0;
  #busy = false;

  constructor(program: ManagedProcess) {
    this.#program = program;
  }

  async ready(): Promise<void> {
    await this.#program.waitFor(() => this.#answers().length > 0);
  }

  async trial(load: Load, signal?: AbortSignal, watch: Watch = {}): Promise<BuiltinResult> {
    if (this.#busy) throw new Error('the generator is busy with another trial');
    this.#busy = true;
    const stop = () => this.#program.write('stop\n');
    try {
      this.#program.write(`${orderOf(load, watch)}\n`);
      if (signal?.aborted) stop();
      signal?.addEventListener('abort', stop);
      const timeoutMs = (load.count / load.rate) * msPerSecond + patienceMs;
      return await this.#result(timeoutMs, watch);
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#busy = false;
    }
  }

  async close(): Promise<void> {
    await this.#program.stop();
  }

  async #result(timeoutMs: number, watch: Watch): Promise<BuiltinResult> {
    let last: Answer | undefined;
    const ended = () => {
      for (const answer of this.#answers()) {
        if (answer.sample) watch.onSample?.(answer.sample);
        else last = answer;
      }
      return last !== undefined;
    };
    await this.#program.waitFor(ended, { timeoutMs });
    if (last?.trial === undefined) throw new Error(`the generator: ${last?.error}`);
    const { counts, seconds, fault } = last.trial;
    return { counts: counts.map((one) => ({ ...one, latency: one.latency })), seconds, fault };
  }

  /** Lines that have come since the last look. */
  #answers(): Answer[] {
    const { stdout } = this.#program;
    const end = stdout.lastIndexOf('\n') + 1;
    const lines = stdout.slice(this.#read, end).split('\n').filter(Boolean);
    this.#read = Math.max(end, this.#read);
    return lines.map((line) => JSON.parse(line) as Answer);
  }
}

function orderOf({ frames, rate, count, direction, flows }: Load, { block }: Watch): string {
  return [
    `trial --rate ${rate} --count ${count} --direction ${direction} --flows ${flows}`,
    `--sizes ${sizesOf(frames).join(',')}`,
    ...(block === undefined ? [] : [`--block ${block}`]),
  ].join(' ');
}

function endArguments(end: End, number: 1 | 2): string[] {
  return [
    ...(end.namespace === undefined ? [] : [`--netns-${number}`, end.namespace]),
    ...[`--device-${number}`, end.device, `--mac-${number}`, end.mac],
    ...[`--ip-${number}`, end.ip, `--next-hop-${number}`, end.nextHopMac],
  ];
}

/**
 * Opens both ends of a path; close() gives them back. Namespaces are names of `ip netns`, or paths.
 * Rejects with the program's sentence when a device cannot be opened.
 */
export async function builtinGenerator({ ends }: Path): Promise<BuiltinGenerator> {
  const args = [...endArguments(ends[0], 1), ...endArguments(ends[1], 2)];
  const program = new ManagedProcess(programPath('generator_bench'), args);
  const generator = new Builtin(program);
  try {
    await generator.ready();
  } catch (error) {
    await generator.close();
    const said = program.stderr.trim();
    throw said === '' ? error : new Error(`the generator: ${said}`);
  }
  return generator;
}
