// cli/verb.ts — what a verb of vtepctl is: its help as data, and a function that does it.
//
// Verbs are loaded when they are asked for; what is heavy is imported inside `run`.

import type { ControlClient } from '../control/client.ts';
import type { Io } from './io.ts';

export type Format = 'table' | 'json' | 'yaml';

export interface Context {
  readonly io: Io;
  readonly client: ControlClient;
  readonly format: Format;
  /** Arguments by position; optional ones may be undefined. */
  readonly args: readonly (string | undefined)[];
  /** Options by name, as the verb declares them. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Version of this vtepctl. */
  readonly version: string;
}

export interface VerbOption {
  /** As commander reads it: `-c, --count <packets>`. */
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  readonly isRequired?: boolean;
  /** A whole number within bounds; without it the option is text or a switch. */
  readonly range?: readonly [min: number, max: number];
}

export interface Verb {
  readonly name: string;
  /** Half a sentence for the list of verbs. */
  readonly summary: string;
  readonly description: string;
  /** `<name>`, `[name]` or `[name...]` with a description each. */
  readonly arguments?: readonly (readonly [name: string, description: string])[];
  readonly options?: readonly VerbOption[];
  /** Command lines with what they do. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  readonly isHidden?: boolean;
  run(context: Context): Promise<void>;
}
