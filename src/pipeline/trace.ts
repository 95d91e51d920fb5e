// pipeline/trace.ts — a walk through the pipeline as text: what `vtepctl trace` shows.
//
// The walk itself is translate(), the same code that answers upcalls; this file only writes down
// what it sees over its shoulder.

import { type ActionTextOptions, formatActions } from '../flow/actions.ts';
import { dropReasonName, dropReasonTexts } from '../flow/drop-reasons.ts';
import { formatMatch, type KeyTextOptions } from '../flow/key-text.ts';
import { type NearestRule, nearestRule } from './nearest.ts';
import type { Pipeline } from './pipeline.ts';
import { formatLocation, register, registerNames } from './registers.ts';
import { formatRuleMatch, type Rule, type Step } from './rule.ts';
import type { Stage } from './stages.ts';
import { type Trace, Translation, translate } from './translate.ts';

export type TraceTextOptions = KeyTextOptions & ActionTextOptions;

/** What one stage did with the packet. */
export interface TraceStep {
  readonly stage: string;
  /** Id of the rule that matched; empty: none did. */
  readonly rule: string;
  /** Object of the document behind the rule and its place there; empty: none. */
  readonly origin: string;
  readonly path: string;
  /** What was matched and done, and the mask after the stage. */
  readonly detail: string;
  readonly mask: string;
}

export interface TraceText {
  readonly steps: readonly TraceStep[];
  /** Match of the megaflow that would be installed. */
  readonly megaflow: string;
  readonly actions: string;
  /** Name of the drop reason and its help; empty: the packet is forwarded. */
  readonly drop: string;
  readonly dropHelp: string;
  /** Of a dropped packet: the rule that came nearest to letting it pass; null: none did. */
  readonly nearest: NearestRule | null;
  /** The source MAC would be learned. */
  readonly learn: boolean;
}

/** Walks the key at `base` through the pipeline and writes down every stage. */
export function traceKey(
  pipeline: Pipeline,
  words: Uint32Array,
  base = 0,
  options: TraceTextOptions = {},
): TraceText {
  const steps: TraceStep[] = [];
  const walk = new Translation();
  let last: Stage | undefined;
  const trace: Trace = {
    stage(stage, rule, so) {
      last = stage;
      steps.push({
        stage: stage.name,
        rule: rule?.id ?? '',
        origin: rule?.origin.object ?? '',
        path: rule?.origin.path ?? '',
        detail: detailOf(stage, rule, options),
        mask: formatMatch(so.key, 0, so.mask, 0, options),
      });
    },
  };
  translate(pipeline, words, base, walk, trace);
  const dropped = walk.dropReason !== 0;
  return {
    steps,
    megaflow: formatMatch(walk.key, 0, walk.mask, 0, options),
    actions: formatActions(walk.actions, 0, walk.actionCount, options),
    drop: dropped ? dropReasonName(walk.dropReason) : '',
    dropHelp: dropped ? (dropReasonTexts[walk.dropReason]?.help ?? '') : '',
    nearest: (dropped && last && nearestRule(pipeline, walk.key, last, options)) || null,
    learn: walk.learn,
  };
}

function detailOf(stage: Stage, rule: Rule | undefined, options: TraceTextOptions): string {
  if (rule === undefined) {
    const next =
      stage.missReason === undefined ? 'next' : `drop(${dropReasonName(stage.missReason)})`;
    return `no rule matches: ${next}`;
  }
  const steps = rule.steps.map((step) => stepText(step, options));
  const last = rule.steps.at(-1)?.kind;
  if (last !== 'goto' && last !== 'drop' && last !== 'done') steps.push('next');
  return `priority ${rule.priority}, ${formatRuleMatch(rule, options)}: ${steps.join(', ')}`;
}

function stepText(step: Step, options: TraceTextOptions): string {
  switch (step.kind) {
    case 'set': {
      const name = nameOf(step.register);
      const location = name === 'source' || name === 'destination';
      return `${name}=${location ? formatLocation(step.value) : step.value}`;
    }
    case 'actions':
      return formatActions(step.words, 0, step.words.length, options);
    case 'goto':
      return `goto ${step.stage}`;
    case 'drop': {
      const { answer } = step;
      const told = answer && formatActions(answer, 0, answer.length, options);
      return [...(told === undefined ? [] : [told]), `drop(${dropReasonName(step.reason)})`].join();
    }
    case 'spread':
      return `${nameOf(step.register)}=one of ${step.values.join(' ')}`;
    default:
      return step.kind;
  }
}

function nameOf(index: number): string {
  return registerNames.find((entry) => register[entry] === index) ?? 'register';
}
