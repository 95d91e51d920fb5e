// bench/peers/cpus.ts — which CPU the systems are measured on.
//
// The last one that this process may use, as pin_thread() of bench/native/cycles.h takes it: the
// first ones serve interrupts.

import { readFileSync } from 'node:fs';
import { Lack } from '../bench.ts';

/** CPUs of a list as the kernel prints it: "0-3,6". */
export function parseCpuList(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [first = Number.NaN, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, at) => first + at);
  });
}

/** Throws a Lack when there is only one: a peer's poll thread needs one beside the others. */
export function lastCpu(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  const cpus = parseCpuList(/^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? '0');
  if (cpus.length < 2) throw new Lack('two CPUs are needed: a poll thread takes one whole');
  return cpus.at(-1)!;
}
