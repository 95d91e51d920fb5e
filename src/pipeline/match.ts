// pipeline/match.ts — how rules are written down: a match field by field, then a rule around it.
//
// A match keeps its key masked and its rule's id begins with the stage: both are easy to get wrong
// by hand, and every file of src/rules writes dozens.

import { type Field, type FieldName, field, setBytes, setNumber, setOnes } from '../flow/key.ts';
import { locationKindMask, type RegisterName, register } from './registers.ts';
import {
  decisionOf,
  newPipelineKey,
  type Origin,
  type Rule,
  type Step,
  sameWords,
  uniformSteps,
} from './rule.ts';
import type { StageName } from './stages.ts';

/** A match under construction. Each method adds one condition and returns the match. */
export class Match {
  readonly key = newPipelineKey();
  readonly mask = newPipelineKey();

  /** The register has exactly this value. */
  register(name: RegisterName, value: number): this {
    this.key[register[name]] = value;
    this.mask[register[name]] = 0xffffffff;
    return this;
  }

  /** The location in the register is of this kind. */
  kind(name: 'source' | 'destination', kind: number): this {
    this.key[register[name]] = kind;
    this.mask[register[name]] = locationKindMask;
    return this;
  }

  /** A field of at most 4 bytes has this value, in host order. */
  number(name: FieldName, value: number): this {
    setNumber(this.key, 0, field[name], value);
    setOnes(this.mask, 0, field[name]);
    return this;
  }

  /** A field has these bytes in the bits of `mask`; without it in all. */
  bytes(name: FieldName, value: Uint8Array, mask?: Uint8Array): this {
    const entry: Field = field[name];
    if (mask === undefined) {
      setOnes(this.mask, 0, entry);
      setBytes(this.key, 0, entry, value);
    } else {
      const masked = value.map((byte, index) => byte & mask[index]!);
      setBytes(this.mask, 0, entry, mask);
      setBytes(this.key, 0, entry, masked);
    }
    return this;
  }
}

/** What a rule consists of; `id` is completed by the name of the stage. */
export interface RuleParts {
  readonly id: string;
  readonly priority: number;
  readonly match: Match;
  readonly steps: readonly Step[];
  readonly origin: Origin;
}

/** Collects the rules of one concern. */
export class RuleList {
  readonly rules: Rule[] = [];

  add(stage: StageName, parts: RuleParts): void {
    this.rules.push(makeRule(stage, parts));
  }
}

/** A rule of a stage. The match must not be changed afterwards. */
export function makeRule(stage: StageName, parts: RuleParts): Rule {
  const id = `${stage}/${parts.id}`;
  return {
    id,
    stage,
    priority: parts.priority,
    key: parts.match.key,
    mask: sharedMask(parts.match.mask),
    steps: uniformSteps(parts.steps),
    origin: parts.origin,
    decision: decisionOf(id),
  };
}

/** Masks by hash: a document of any size has a few dozen, and one array of each is enough. */
const masks = new Map<number, Uint32Array[]>();

/** The one array that has these words. */
function sharedMask(mask: Uint32Array): Uint32Array {
  let hash = 0;
  for (let index = 0; index < mask.length; index += 1) {
    hash = Math.imul(hash ^ mask[index]!, 0x01000193) ^ (hash >>> 15);
  }
  const known = masks.get(hash);
  const same = known?.find((other) => sameWords(other, mask));
  if (same !== undefined) return same;
  const own = mask.slice();
  if (known === undefined) masks.set(hash, [own]);
  else known.push(own);
  return own;
}

/** Mask of the group bit of a MAC address, and an address that has nothing but it. */
export const groupBit = Uint8Array.of(1, 0, 0, 0, 0, 0);

/** Origin of rules that every switch has. */
export const builtIn: Origin = Object.freeze({ object: 'built-in', path: '' });
