// pipeline/pipeline.ts — all rules, stage by stage, and how they change.
//
// Rules change in whole sets between two packets; whoever changes them asks the slow path to
// revalidate the flows that were made from the old ones.

import { Classifier } from './classifier.ts';
import type { Policy } from './policy.ts';
import { PolicyStage } from './policy-stage.ts';
import { type PolicyEffects, PolicyStore } from './policy-store.ts';
import { type Rule, sameRule } from './rule.ts';
import { stageIndex, stages } from './stages.ts';

/** What translate() asks of a stage. */
export interface StageTable {
  /**
   * The rule that the packet meets. Every bit of `key` that was looked at is set in `mask`; bits
   * that are set already stay.
   */
  lookup(key: Uint32Array, mask: Uint32Array): Rule | undefined;
}

/** Rules to take out and to put in; a changed rule is in both. */
export interface RuleChanges {
  readonly removed: readonly Rule[];
  readonly added: readonly Rule[];
  /** The firewall from now on; absent: as it is. */
  readonly policy?: Policy;
}

export class Pipeline {
  readonly policy = new PolicyStore();
  readonly tables: readonly StageTable[] = stages.map(({ name }) => {
    if (name === 'egress-policy') return new PolicyStage(this.policy, 'egress');
    if (name === 'ingress-policy') return new PolicyStage(this.policy, 'ingress');
    return new Classifier();
  });
  readonly #rules = new Map<string, Rule>();
  readonly #byDecision = new Map<number, Rule>();

  constructor(rules: readonly Rule[] = []) {
    this.apply({ removed: [], added: rules });
  }

  /** Rules of all stages, those of the policy included. */
  get ruleCount(): number {
    return this.#rules.size + this.policy.ruleCount;
  }

  /** All rules but those of the policy, in no order. */
  rules(): IterableIterator<Rule> {
    return this.#rules.values();
  }

  /** The rule with this id, or undefined. */
  rule(id: string): Rule | undefined {
    return this.#rules.get(id);
  }

  /** The rule behind the `decision` of a flow slot, or undefined: it is gone, or a stage missed. */
  ruleOfDecision(decision: number): Rule | undefined {
    return this.#byDecision.get(decision) ?? this.policy.ruleOfDecision(decision);
  }

  /**
   * Takes rules out, then puts rules in. Throws when a rule to remove is not there or an id is
   * taken. Returns what the policy judges otherwise now.
   */
  apply(changes: RuleChanges): PolicyEffects {
    for (const rule of changes.removed) this.#remove(rule);
    for (const rule of changes.added) this.#add(rule);
    return this.policy.set(changes.policy ?? this.policy.policy);
  }

  #classifier({ id, stage }: Rule): Classifier {
    const table = this.tables[stageIndex[stage]];
    if (table instanceof Classifier) return table;
    throw new Error(`rule ${id}: stage ${stage} takes its rules from the policy`);
  }

  #remove(rule: Rule): void {
    const known = this.#rules.get(rule.id);
    if (known === undefined || !sameRule(known, rule)) {
      throw new Error(`the pipeline has no such rule: ${rule.id}`);
    }
    this.#classifier(rule).remove(known);
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
    this.#classifier(rule).add(rule);
    this.#rules.set(rule.id, rule);
    this.#byDecision.set(rule.decision, rule);
  }
}
