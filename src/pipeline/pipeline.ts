// pipeline/pipeline.ts — all rules, stage by stage, and how they change.
//
// Rules change in whole sets between two packets; whoever changes them asks the slow path to
// revalidate the flows that were made from the old ones.

import { Classifier } from './classifier.ts';
import { type Rule, sameRule } from './rule.ts';
import { stageIndex, stages } from './stages.ts';

/** Rules to take out and to put in; a changed rule is in both. */
export interface RuleChanges {
  readonly removed: readonly Rule[];
  readonly added: readonly Rule[];
}

export class Pipeline {
  readonly tables: readonly Classifier[] = stages.map(() => new Classifier());
  readonly #rules = new Map<string, Rule>();
  readonly #byDecision = new Map<number, Rule>();

  constructor(rules: readonly Rule[] = []) {
    this.apply({ removed: [], added: rules });
  }

  get ruleCount(): number {
    return this.#rules.size;
  }

  /** All rules, in no order. */
  rules(): IterableIterator<Rule> {
    return this.#rules.values();
  }

  /** The rule with this id, or undefined. */
  rule(id: string): Rule | undefined {
    return this.#rules.get(id);
  }

  /** The rule behind the `decision` of a flow slot, or undefined: it is gone, or a stage missed. */
  ruleOfDecision(decision: number): Rule | undefined {
    return this.#byDecision.get(decision);
  }

  /**
   * Takes rules out, then puts rules in. Throws when a rule to remove is not there or an id is
   * taken.
   */
  apply(changes: RuleChanges): void {
    for (const rule of changes.removed) this.#remove(rule);
    for (const rule of changes.added) this.#add(rule);
  }

  #remove(rule: Rule): void {
    const known = this.#rules.get(rule.id);
    if (known === undefined || !sameRule(known, rule)) {
      throw new Error(`the pipeline has no such rule: ${rule.id}`);
    }
    this.tables[stageIndex[rule.stage]]!.remove(known);
    this.#rules.delete(rule.id);
    if (this.#byDecision.get(rule.decision) === known) this.#byDecision.delete(rule.decision);
  }

  #add(rule: Rule): void {
    if (this.#rules.has(rule.id)) throw new Error(`two rules have the id ${rule.id}`);
    const place = stageIndex[rule.stage];
    for (const step of rule.steps) {
      if (step.kind === 'goto' && stageIndex[step.stage] <= place) {
        throw new Error(`rule ${rule.id} goes back to ${step.stage}`);
      }
    }
    this.tables[place]!.add(rule);
    this.#rules.set(rule.id, rule);
    this.#byDecision.set(rule.decision, rule);
  }
}
