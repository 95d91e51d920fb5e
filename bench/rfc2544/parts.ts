// bench/rfc2544/parts.ts — which systems, generators and extras the benchmark knows: its one list.
//
// A new system or generator is a line here; nothing else of the benchmark names one.

import { builtinGenerator } from './builtin.ts';
import type { Path, System } from './path.ts';
import { systemsOf as namedSystemsOf, systems } from './systems.ts';
import { trexGenerator } from './trex.ts';
import type { Generator } from './trial.ts';

export { extras } from './extras.ts';

/** What the command line says of generators. */
export interface GeneratorOptions {
  /** Host of a TRex server that runs; undefined: one is started beside the ends of the path. */
  readonly trexHost: string | undefined;
  /** Folder of a TRex release. */
  readonly trexPath: string | undefined;
}

export interface GeneratorKind {
  readonly name: string;
  readonly make: (path: Path, options: GeneratorOptions) => Promise<Generator>;
}

/** The first is the usual one. */
export const generators: readonly GeneratorKind[] = [
  { name: 'builtin', make: (path) => builtinGenerator(path) },
  { name: 'trex', make: trexGenerator },
];

/** Two ends and nothing between them is the system of this name. */
export const loopName = 'loop';

/** The systems in namespaces, or those of a topology file. */
export function systemsOf(topology: string | undefined): readonly System[] {
  return topology === undefined ? systems : namedSystemsOf(topology);
}
