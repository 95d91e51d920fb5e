// pipeline/rule.ts — one rule of a stage: what it matches, what it does, which object asked for it.
//
// Rules are plain data, made by src/rules and by MAC learning, and never changed: a changed object
// gives a new rule with the same id. Two rules of one stage that overlap must differ in priority;
// otherwise which of them wins is undefined, as in OpenFlow.

import { formatMatch as formatKeyMatch, type KeyTextOptions } from '../flow/key-text.ts';
import { formatLocation, pipelineKeyWords, register, registerNames } from './registers.ts';
import type { StageName } from './stages.ts';

/** The object of the document behind a rule: the answer to "why". */
export interface Origin {
  /** Kind and name, such as "port c1"; "built-in" for rules that every switch has. */
  readonly object: string;
  /**
   * Place in the document, such as "ports[c1].mac". Names, not indexes: moving a line is no change.
   */
  readonly path: string;
}

/** One instruction. A rule without `goto`, `drop` or `done` hands the packet to the next stage. */
export type Step =
  /** Sets a register (word index of pipeline/registers.ts). */
  | { readonly kind: 'set'; readonly register: number; readonly value: number }
  /** Appends action words, with the packet's own in some places. */
  | ({ readonly kind: 'actions'; readonly words: Uint32Array } & Places)
  /** Appends PopVlan if the packet carries the tag of its access link. */
  | { readonly kind: 'untag' }
  /** Appends Output to the device port that the packet came in by, tag and all. */
  | { readonly kind: 'reply' }
  /** Sets register `commit` if the packet would start a connection (ct_new). */
  | { readonly kind: 'commit' }
  /** Replicates to the kinds of ports that register `receivers` tells. */
  | { readonly kind: 'receivers'; readonly receivers: Receivers }
  /** Asks the slow path to learn the source MAC at the source location. */
  | { readonly kind: 'learn' }
  /** The verdict holds for this packet only: it depends on more than the key. */
  | { readonly kind: 'once' }
  | { readonly kind: 'goto'; readonly stage: StageName }
  /** The packet has come to a gateway: `words` hold its IPv4 and IPv6 address; see Places. */
  | { readonly kind: 'gateway'; readonly words: Uint32Array }
  /** Sets a register to one of several values, the same for all packets of a connection's way. */
  | { readonly kind: 'spread'; readonly register: number; readonly values: readonly number[] }
  /** `answer`: an action that drops as well, and tells the sender. */
  | ({ readonly kind: 'drop'; readonly reason: number; readonly answer?: Uint32Array } & Places)
  | { readonly kind: 'done' };

/** Words of an action that depend on the way of the packet. */
export interface Places {
  /** Where the id of the source port goes. */
  readonly sourceIdAt?: number;
  /**
   * Where the addresses of the gateway go (five words), which is who tells a sender in another
   * network; they stay as they are for a packet that comes to no gateway.
   */
  readonly gatewayAt?: number;
}

/**
 * A step of any kind: all have one shape, since a walk reads the steps of all rules at one place,
 * where the engine is several times slower when each kind has a shape of its own.
 */
class AnyStep {
  readonly kind: Step['kind'];
  readonly register: number | undefined;
  readonly value: number | undefined;
  readonly words: Uint32Array | undefined;
  readonly sourceIdAt: number | undefined;
  readonly gatewayAt: number | undefined;
  readonly stage: StageName | undefined;
  readonly reason: number | undefined;
  readonly answer: Uint32Array | undefined;
  readonly receivers: Receivers | undefined;
  readonly values: readonly number[] | undefined;

  constructor(step: Partial<AnyStep> & Pick<Step, 'kind'>) {
    this.kind = step.kind;
    this.register = step.register;
    this.value = step.value;
    this.words = step.words;
    this.sourceIdAt = step.sourceIdAt;
    this.gatewayAt = step.gatewayAt;
    this.stage = step.stage;
    this.reason = step.reason;
    this.answer = step.answer;
    this.receivers = step.receivers;
    this.values = step.values;
  }
}

/** Steps that say no more than their kind and a stage: thousands of rules share one of each. */
const sharedSteps = new Map<string, Step>();

function uniformStep(step: Step): Step {
  const shared = step.kind === 'goto' || Object.keys(step).length === 1;
  if (!shared) return new AnyStep(step) as Step;
  const name = step.kind === 'goto' ? `goto ${step.stage}` : step.kind;
  const known = sharedSteps.get(name) ?? (new AnyStep(step) as Step);
  sharedSteps.set(name, known);
  return known;
}

/** The same steps as objects of one shape. */
export function uniformSteps(steps: readonly Step[]): readonly Step[] {
  return steps.map(uniformStep);
}

/** Action words that replicate a packet; the source port's id replaces the word at `sourceIdAt`. */
export interface Receivers {
  /** To everyone, when all kinds of local ports may have it. */
  readonly all: Uint32Array;
  /** To one kind each; `only`: the location of the one port of the kind, 0 when there are more. */
  readonly kinds: readonly { readonly words: Uint32Array; readonly only: number }[];
  /** To those who judge for themselves, beside the kinds. */
  readonly others: Uint32Array | undefined;
  readonly sourceIdAt: number;
}

export interface Rule {
  /** Unique in the pipeline and stable: "port-mac/c1/02:00:00:00:00:01". */
  readonly id: string;
  readonly stage: StageName;
  /** Higher wins. */
  readonly priority: number;
  /** Pipeline key; bits outside the mask are zero. */
  readonly key: Uint32Array;
  readonly mask: Uint32Array;
  readonly steps: readonly Step[];
  readonly origin: Origin;
  /** What it matches, where key and mask do not say it: rules of a firewall. */
  readonly text?: string;
  /** decisionOf(id): names the rule in flow slots, across restarts. */
  readonly decision: number;
}

/** FNV-1a of the text's UTF-8 bytes, 32 bits, never 0: stable numbers for names. */
export function hashName(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) return hashBytes(Buffer.from(text));
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  return hash >>> 0 || 1;
}

function hashBytes(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0 || 1;
}

/**
 * Number of the decision that a rule with this id stands for: 31 bits, which the engine keeps in
 * the rule itself. A larger number would be an object, copied by every walk that reads it.
 */
export function decisionOf(id: string): number {
  return hashName(id) >>> 1 || 1;
}

/** True when both rules match, rank and do the same, for the same object. */
export function sameRule(one: Rule, other: Rule): boolean {
  return (
    one.id === other.id &&
    one.stage === other.stage &&
    one.priority === other.priority &&
    one.origin.object === other.origin.object &&
    one.origin.path === other.origin.path &&
    sameWords(one.key, other.key) &&
    sameWords(one.mask, other.mask) &&
    sameSteps(one.steps, other.steps)
  );
}

function sameSteps(one: readonly Step[], other: readonly Step[]): boolean {
  return (
    one.length === other.length && one.every((step, index) => sameStep(step, other[index] as Step))
  );
}

function sameStep(one: Step, other: Step): boolean {
  if (one.kind === 'set' && other.kind === 'set') {
    return one.register === other.register && one.value === other.value;
  }
  if (one.kind === 'actions' && other.kind === 'actions') {
    return samePlaces(one, other) && sameWords(one.words, other.words);
  }
  if (one.kind === 'gateway' && other.kind === 'gateway') return sameWords(one.words, other.words);
  if (one.kind === 'spread' && other.kind === 'spread') {
    return one.register === other.register && one.values.join() === other.values.join();
  }
  if (one.kind === 'receivers' && other.kind === 'receivers') {
    return sameReceivers(one.receivers, other.receivers);
  }
  if (one.kind === 'goto' && other.kind === 'goto') return one.stage === other.stage;
  if (one.kind === 'drop' && other.kind === 'drop') {
    const same = one.reason === other.reason && samePlaces(one, other);
    return same && sameWords(one.answer ?? noWords, other.answer ?? noWords);
  }
  return one.kind === other.kind;
}

const noWords = new Uint32Array(0);

function samePlaces(one: Places, other: Places): boolean {
  return one.sourceIdAt === other.sourceIdAt && one.gatewayAt === other.gatewayAt;
}

function sameReceivers(one: Receivers, other: Receivers): boolean {
  return (
    one.sourceIdAt === other.sourceIdAt &&
    sameWords(one.all, other.all) &&
    sameWords(one.others ?? noWords, other.others ?? noWords) &&
    one.kinds.length === other.kinds.length &&
    one.kinds.every((kind, index) => {
      const { words, only } = other.kinds[index]!;
      return kind.only === only && sameWords(kind.words, words);
    })
  );
}

/** True when both have the same words. */
export function sameWords(one: Uint32Array, other: Uint32Array): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index += 1) {
    if (one[index] !== other[index]) return false;
  }
  return true;
}

/** True when a rule of a firewall lets nothing pass. */
export function denies(rule: Rule): boolean {
  return rule.steps.at(-1)?.kind === 'drop';
}

/** Text of what a rule matches, registers first. */
export function formatRuleMatch(rule: Rule, options: KeyTextOptions = {}): string {
  if (rule.text !== undefined) return rule.text;
  const parts = registerNames
    .filter((name) => rule.mask[register[name]] !== 0)
    .map((name) => formatRegister(name, rule.key[register[name]]!, rule.mask[register[name]]!));
  const fields = formatKeyMatch(rule.key, 0, rule.mask, 0, options);
  if (fields !== 'any' || parts.length === 0) parts.push(fields);
  return parts.join(',');
}

function formatRegister(name: keyof typeof register, value: number, mask: number): string {
  const location = name === 'source' || name === 'destination';
  const text = location ? formatLocation(value) : `${value}`;
  if (mask === 0xffffffff) return `${name}=${text}`;
  return location ? `${name}=any ${text}` : `${name}=${text}/0x${mask.toString(16)}`;
}

/** Keys per slab. */
const slabKeys = 128;

let slab = new ArrayBuffer(0);
let slabUsed = 0;

/**
 * A pipeline key, or a mask, of zeros. Many share one buffer: a buffer for each of the hundred
 * thousand keys of a large document would cost more than all that is written into them.
 */
export function newPipelineKey(): Uint32Array {
  const bytes = pipelineKeyWords * Uint32Array.BYTES_PER_ELEMENT;
  if (slabUsed === slab.byteLength) {
    slab = new ArrayBuffer(slabKeys * bytes);
    slabUsed = 0;
  }
  const key = new Uint32Array(slab, slabUsed, pipelineKeyWords);
  slabUsed += bytes;
  return key;
}
