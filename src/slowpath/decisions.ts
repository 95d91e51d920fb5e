// slowpath/decisions.ts — the number in a flow slot as the rule that people know.
//
// A decision is a hash of the rule's id. Finding the rule of a firewall looks through all of them,
// so answers are kept until rules change; and what a rule was called is remembered beyond its end,
// since flows and connections outlive it in counts and logs.

import type { Pipeline } from '../pipeline/pipeline.ts';
import { decisionOf } from '../pipeline/rule.ts';
import { stages } from '../pipeline/stages.ts';

export interface DecisionText {
  /** Id of the rule, or "l2/miss" where a stage has none; empty: not known any more. */
  readonly rule: string;
  /** Object of the document behind it, and its place there; empty: none. */
  readonly origin: string;
  readonly path: string;
}

/** Rules that are remembered; the oldest go first. */
const rememberedMax = 16_384;
export const unknownDecision: DecisionText = Object.freeze({ rule: '', origin: '', path: '' });

const misses = new Map(
  stages.map(({ name }) => {
    return [decisionOf(`${name}/miss`), { rule: `${name}/miss`, origin: '', path: '' }];
  }),
);

export class Decisions {
  readonly #pipeline: Pipeline;
  /** Asked since rules changed. */
  #current = new Map<number, DecisionText>();
  /** Of rules that may be gone. */
  readonly #remembered = new Map<number, DecisionText>();

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  /** What settled a verdict; `unknownDecision` when nothing of that number was ever asked for. */
  text(decision: number): DecisionText {
    const known = this.#current.get(decision) ?? misses.get(decision);
    if (known !== undefined) return known;
    const rule = this.#pipeline.ruleOfDecision(decision);
    if (rule === undefined) return this.#remembered.get(decision) ?? unknownDecision;
    const { object: origin, path } = rule.origin;
    const text = { rule: rule.id, origin, path };
    this.#current.set(decision, text);
    this.#remembered.delete(decision);
    this.#remembered.set(decision, text);
    if (this.#remembered.size > rememberedMax) {
      for (const oldest of this.#remembered.keys()) {
        this.#remembered.delete(oldest);
        break;
      }
    }
    return text;
  }

  /** What it is called is known from now on, rule or not. */
  remember(decision: number): void {
    if (!this.#remembered.has(decision)) this.text(decision);
  }

  /** Rules change. */
  forget(): void {
    this.#current = new Map();
  }
}
