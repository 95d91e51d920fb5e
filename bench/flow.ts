// bench/flow.ts — the parts of the packet path, each alone: parse, hash, caches, connections.
//
// bench/native/flow_bench.cpp measures, by Google Benchmark; this turns its report into ours.

import type { Bench, BenchOptions } from './bench.ts';
import { jsonReport } from './programs.ts';
import { Progress } from './progress.ts';
import type { Report } from './report.ts';

const roundsDefault = 5;
const secondsDefault = 0.2;
const secondsQuick = 0.001;
/** Benchmarks in the program, for the time that they will take. */
const caseCount = 36;

interface GoogleReport {
  readonly benchmarks: readonly {
    /** "exact_lookup/100000/32" */
    readonly run_name: string;
    readonly run_type: 'iteration' | 'aggregate';
    readonly cycles?: number;
    readonly error_occurred?: boolean;
    readonly error_message?: string;
  }[];
}

async function run(report: Report, options: BenchOptions): Promise<void> {
  const seconds = options.seconds ?? (options.quick ? secondsQuick : secondsDefault);
  const rounds = options.rounds ?? (options.quick ? 1 : roundsDefault);
  const progress = new Progress(report.bench, rounds * caseCount * seconds * 2);
  const figures = new Map<string, number[]>();
  for (let round = 1; round <= rounds; round += 1) {
    progress.step(`round ${round} of ${rounds}`, caseCount * seconds * 2);
    const { benchmarks } = await jsonReport<GoogleReport>('flow_bench', [
      `--benchmark_min_time=${seconds}`,
      '--benchmark_format=json',
      // Making the largest tables takes longer than a smoke test may.
      ...(options.quick ? ['--benchmark_filter=-/1000000|1048576'] : []),
    ]);
    for (const { run_name: name, cycles, error_message: error } of benchmarks) {
      if (error !== undefined) throw new Error(`flow_bench ${name}: ${error}`);
      if (cycles === undefined) continue;
      figures.set(name, [...(figures.get(name) ?? []), cycles]);
    }
  }
  progress.done();
  for (const [name, cycles] of figures) {
    // "exact_lookup/100000/32/min_warmup_time:0.100": what has a colon is how, not what.
    const parts = name.split('/').filter((part) => !part.includes(':'));
    const title = parts.join('/');
    const flows = Number(parts[1] ?? 1);
    report.add({ case: title, flows, system: 'vtepd', metric: 'cycles per packet' }, cycles);
  }
}

export const flowBench: Bench = {
  name: 'flow',
  summary: 'cycles per packet of each part alone: parse, hash, exact cache, megaflows, connections',
  run,
};
