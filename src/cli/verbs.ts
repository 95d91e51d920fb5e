// cli/verbs.ts — the verbs of vtepctl, each behind an import of its own.
//
// A command line names one verb; only its file is loaded. Help and completion load all.

import type { Verb } from './verb.ts';

type Load = () => Promise<{ readonly verb: Verb }>;

/** In the order of the help text. */
const loaders: Readonly<Record<string, Load>> = {
  apply: () => import('./commands/apply.ts'),
  diff: () => import('./commands/diff.ts'),
  get: () => import('./commands/get.ts'),
  status: () => import('./commands/status.ts'),
  flows: () => import('./commands/flows.ts'),
  connections: () => import('./commands/connections.ts'),
  trace: () => import('./commands/trace.ts'),
  why: () => import('./commands/why.ts'),
  drops: () => import('./commands/drops.ts'),
  top: () => import('./commands/top.ts'),
  capture: () => import('./commands/capture.ts'),
  watch: () => import('./commands/watch.ts'),
  completion: () => import('./commands/completion.ts'),
  'complete-words': () => import('./commands/complete-words.ts'),
  version: () => import('./commands/version.ts'),
};

export const verbNames: readonly string[] = Object.keys(loaders);

/** The verbs that the arguments mention; all of them when that is none, or help is asked for. */
export async function loadVerbs(argv: readonly string[]): Promise<readonly Verb[]> {
  const named = verbNames.filter((name) => argv.includes(name));
  const wanted = named.length === 0 || argv.includes('help') ? verbNames : named;
  const modules = await Promise.all(wanted.map((name) => (loaders[name] as Load)()));
  return modules.map(({ verb }) => verb);
}
