// pipeline/translate.ts — walks one packet through the stages: key in, verdict out.
//
// Pure: reads rules, writes only the Translation that the caller lends, does no I/O. Upcalls,
// revalidation and `vtepctl trace` all call this one function; trace only passes a place to write.
//
// The verdict is a function of the key and of the rules alone, and it comes with a mask: every bit
// of the key that some stage looked at (see classifier.ts on un-wildcarding). The promise to the
// data path is that any packet that agrees with this one in the masked bits gets the same verdict,
// so that one megaflow may stand for all of them. It follows that translating the masked key gives
// the same verdict and the same mask again, which is how installed flows are revalidated. Steps
// read registers freely, since these were set from bits that are in the mask already; the only
// steps that read the packet itself are `reply` (in_port), `commit` (ct_new) and `spread` (see
// spread.ts), and they add that to the mask. A verdict that depends on more than the key says so
// (`cacheable` false) and must not become a flow.
//
// No allocation in the steady state: all buffers belong to the Translation.

import { actionWord, actionWordsMax, op } from '../flow/actions.ts';
import { dropReason } from '../flow/drop-reasons.ts';
import { ctState, flowKeyWords } from '../flow/key.ts';
import type { Pipeline } from './pipeline.ts';
import { everyReceiver } from './policy-stage.ts';
import { pipelineKeyWords, register } from './registers.ts';
import { decisionOf, type Places, type Receivers, type Rule, type Step } from './rule.ts';
import { spread } from './spread.ts';
import { type Stage, stageIndex, stages } from './stages.ts';

/** Rules and steps of one walk; a pipeline without loops stays far below. */
export const translateStepsMax = 256;

/** Where `vtepctl trace` looks over the shoulder of a walk. */
export interface Trace {
  /** A stage was asked; `rule` undefined: it has none that matches. */
  stage(stage: Stage, rule: Rule | undefined, translation: Translation): void;
}

const missDecisions = stages.map(({ name }) => decisionOf(`${name}/miss`));
const inPortWord = 0;
/** ct_new, where the key has it. */
const stateWord = 7;
const stateNew = ctState.new << 16;
const outputWord = actionWord(op.Output);
const popVlanWord = actionWord(op.PopVlan);
const rejectWord = actionWord(op.Reject);

/** Stage "after the last one": the walk has ended. */
const ended = stages.length;

/** The verdict of one walk, and its working memory. Reused from packet to packet. */
export class Translation {
  /** The packet's key and our registers. */
  readonly key = new Uint32Array(pipelineKeyWords);
  /** What was looked at; the first 28 words are the mask of the megaflow. */
  readonly mask = new Uint32Array(pipelineKeyWords);
  readonly actions = new Uint32Array(actionWordsMax);
  /** Words of `actions` in use, at least one. */
  actionCount = 0;
  /** Why the packet is dropped; 0: it is not. */
  dropReason = 0;
  /** Words of the gateway that the packet came to; undefined: none. */
  gateway: Uint32Array | undefined = undefined;
  /** The actions of a drop are its rule's own. */
  answered = false;
  /** False: the verdict is for this packet only. */
  cacheable = true;
  /** The source MAC is to be learned at the source location. */
  learn = false;
  /** Decision of the rule, or the miss, that settled the verdict. */
  decision = 0;
  /** The rule that matched in each stage. */
  readonly rules: (Rule | undefined)[] = stages.map(() => undefined);
  stepCount = 0;
}

/** Verdict for the key at `base` of `words`, written into `out`. */
export function translate(
  pipeline: Pipeline,
  words: Uint32Array,
  base: number,
  out: Translation,
  trace?: Trace,
): void {
  reset(out, words, base);
  let place = 0;
  while (place < ended) {
    const rule = pipeline.tables[place]!.lookup(out.key, out.mask);
    out.rules[place] = rule;
    out.stepCount += 1;
    const next = rule === undefined ? miss(stages[place]!, out) : run(rule, place, out);
    trace?.stage(stages[place]!, rule, out);
    place = next;
  }
  if (out.dropReason === 0 && out.actionCount === 0) out.dropReason = dropReason.NoOutput;
  if (out.dropReason !== 0 && !out.answered) {
    const rejected = out.dropReason === dropReason.AclReject;
    out.actions[0] = rejected ? rejectWord : actionWord(op.Drop, out.dropReason);
    out.actionCount = 1;
  }
}

function reset(out: Translation, words: Uint32Array, base: number): void {
  for (let index = 0; index < flowKeyWords; index += 1) out.key[index] = words[base + index]!;
  for (let index = flowKeyWords; index < pipelineKeyWords; index += 1) out.key[index] = 0;
  out.mask.fill(0);
  out.actionCount = 0;
  out.dropReason = 0;
  out.gateway = undefined;
  out.answered = false;
  out.cacheable = true;
  out.learn = false;
  out.decision = 0;
  out.stepCount = 0;
  for (let index = 0; index < out.rules.length; index += 1) out.rules[index] = undefined;
}

/** No rule matched: the next place, or the end with the stage's reason. */
function miss(stage: Stage, out: Translation): number {
  if (stage.missReason === undefined) return stage.index + 1;
  out.decision = missDecisions[stage.index]!;
  return drop(out, stage.missReason);
}

function drop(out: Translation, reason: number): number {
  out.dropReason = reason;
  return ended;
}

/** Nothing is done to the packet but that its sender is told. */
function answer(words: Uint32Array, places: Places, out: Translation): void {
  out.actionCount = 0;
  out.answered = appendActions(out, words, places);
}

/** Runs the steps of a rule; returns the next place. */
function run(rule: Rule, place: number, out: Translation): number {
  const steps = rule.steps;
  out.decision = rule.decision;
  for (let index = 0; index < steps.length; index += 1) {
    const step = steps[index]!;
    out.stepCount += 1;
    if (out.stepCount > translateStepsMax) return drop(out, dropReason.TranslateLimit);
    switch (step.kind) {
      case 'goto':
        return stageIndex[step.stage];
      case 'drop':
        if (step.answer !== undefined) answer(step.answer, step, out);
        return drop(out, step.reason);
      case 'done':
        return ended;
      default:
        if (!perform(step, out)) return drop(out, dropReason.TranslateLimit);
    }
  }
  return place + 1;
}

/** One step that does not end the rule; false when the action program is full. */
function perform(step: Step, out: Translation): boolean {
  switch (step.kind) {
    case 'set':
      out.key[step.register] = step.value;
      return true;
    case 'actions':
      return appendActions(out, step.words, step);
    case 'untag':
      return out.key[register.tagged] === 0 || append(out, popVlanWord);
    case 'reply':
      out.mask[inPortWord] = 0xffffffff;
      return append(out, outputWord) && append(out, out.key[inPortWord]!);
    case 'commit':
      out.mask[stateWord] = out.mask[stateWord]! | stateNew;
      if ((out.key[stateWord]! & stateNew) !== 0) out.key[register.commit] = 1;
      return true;
    case 'gateway':
      out.gateway = step.words;
      return true;
    case 'spread':
      out.key[step.register] = step.values[spread(out.key, out.mask, step.values.length)]!;
      return true;
    case 'receivers':
      return replicate(out, step.receivers);
    case 'learn':
      out.learn = true;
      return true;
    case 'once':
      out.cacheable = false;
      return true;
    default:
      return true;
  }
}

function append(out: Translation, word: number): boolean {
  if (out.actionCount >= actionWordsMax) return false;
  out.actions[out.actionCount] = word;
  out.actionCount += 1;
  return true;
}

function replicate(out: Translation, receivers: Receivers): boolean {
  const { all, kinds, others } = receivers;
  const bits = out.key[register.receivers]!;
  if (bits === everyReceiver) return appendActions(out, all, receivers);
  for (let index = 0; index < kinds.length; index += 1) {
    const { words, only } = kinds[index]!;
    if ((bits & (1 << index)) === 0 || only === out.key[register.source]) continue;
    if (!appendActions(out, words, receivers)) return false;
  }
  return others === undefined || appendActions(out, others, receivers);
}

function appendActions(out: Translation, words: Uint32Array, places: Places): boolean {
  const base = out.actionCount;
  const { sourceIdAt, gatewayAt } = places;
  if (base + words.length > actionWordsMax) return false;
  for (let index = 0; index < words.length; index += 1) out.actions[base + index] = words[index]!;
  if (sourceIdAt !== undefined) out.actions[base + sourceIdAt] = out.key[register.sourceId]!;
  if (gatewayAt !== undefined && out.gateway !== undefined) {
    out.actions.set(out.gateway, base + gatewayAt);
  }
  out.actionCount = base + words.length;
  return true;
}
