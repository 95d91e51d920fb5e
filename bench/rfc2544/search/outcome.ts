// bench/rfc2544/search/outcome.ts — what a search says in the end: a load, a limit, or why not.
//
// Only `found` is a figure of the device. What the generator or the range ends is "at least"; what
// contradicts itself is a sentence and no figure at all.

import type { Observation } from './evidence.ts';

/** The device passes `load` and loses at `upper`, which is within the resolution. */
export interface Found {
  readonly kind: 'found';
  /** Greatest load that passes. */
  readonly load: number;
  /** Least load that loses. */
  readonly upper: number;
  /** What came through at `load`, in its unit (the conditional throughput of MLRsearch). */
  readonly forwarded: number;
  /** How far above `upper` a load passed all the same, as a share of it; 0: nothing contradicts. */
  readonly noise: number;
}

/** The device passes `load`; who could not go further was not the device. */
export interface AtLeast {
  readonly kind: 'at-least';
  readonly load: number;
  readonly forwarded: number;
  /** A sentence: the generator's limit, or the end of the range. */
  readonly why: string;
  /** Whether the generator ended the search; else the range did. */
  readonly isGenerator: boolean;
}

/** No figure. */
export interface Unclear {
  readonly kind: 'unclear';
  readonly why: string;
}

export type Outcome = Found | AtLeast | Unclear;

export interface SearchResult {
  /** For each allowed loss that was asked for, in that order. */
  readonly outcomes: readonly { readonly loss: number; readonly outcome: Outcome }[];
  /** Every trial, in the order they were made. */
  readonly trials: readonly Trial[];
}

/** A trial as the report keeps it. */
export interface Trial extends Observation {
  /** Why it tells nothing of the device. */
  readonly fault: string | undefined;
}

/** A share as people read it: "0.5 %". */
export function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}
