// pipeline/arbitrary.ts — random rules and keys that meet often enough to be worth asking about.
//
// Fields take few values, so that rules overlap and packets hit; masks are whole fields, prefixes
// or single bits, as real rules have them.

import fc from 'fast-check';
import { type Field, fields, setBytes } from '../../../src/flow/key.ts';
import { register } from '../../../src/pipeline/registers.ts';
import { decisionOf, newPipelineKey, type Rule, type Step } from '../../../src/pipeline/rule.ts';
import type { StageName } from '../../../src/pipeline/stages.ts';

const matchable = fields.filter(({ name }) => name !== 'ct_state');

/** A field with a few of its possible values. */
function fewValues(entry: Field): fc.Arbitrary<Uint8Array> {
  return fc.nat(3).map((seed) => {
    const bytes = new Uint8Array(entry.bytes);
    bytes[entry.bytes - 1] = seed & 1;
    bytes[0] = bytes[0]! | (seed >> 1 ? 0x81 : 0);
    return bytes;
  });
}

function maskOf(entry: Field): fc.Arbitrary<Uint8Array> {
  const whole = fc.constant(new Uint8Array(entry.bytes).fill(0xff));
  const prefix = fc.integer({ min: 1, max: entry.bytes * 8 }).map((length) => {
    const bytes = new Uint8Array(entry.bytes);
    for (let bit = 0; bit < length; bit += 1) bytes[bit >> 3]! |= 0x80 >> (bit & 7);
    return bytes;
  });
  return fc.oneof({ weight: 3, arbitrary: whole }, { weight: 1, arbitrary: prefix });
}

const condition = fc
  .constantFrom(...matchable)
  .chain((entry) => fc.tuple(fc.constant(entry), fewValues(entry), maskOf(entry)));

const registers = [register.network, register.source];

/** A rule of a stage; `id` and `priority` are to be set by the caller. */
export function arbitraryMatch(): fc.Arbitrary<{ key: Uint32Array; mask: Uint32Array }> {
  const metadata = fc.array(fc.tuple(fc.constantFrom(...registers), fc.nat(2)), { maxLength: 1 });
  return fc.tuple(fc.array(condition, { maxLength: 4 }), metadata).map(([conditions, meta]) => {
    const key = newPipelineKey();
    const mask = newPipelineKey();
    for (const [entry, value, bits] of conditions) {
      setBytes(mask, 0, entry, bits);
      setBytes(
        key,
        0,
        entry,
        value.map((byte, index) => byte & bits[index]!),
      );
    }
    for (const [word, value] of meta) {
      key[word] = value;
      mask[word] = 0xffffffff;
    }
    return { key, mask };
  });
}

/** Rules of one stage, all of different priority, in no order. */
export function arbitraryRules(
  stage: StageName,
  steps: fc.Arbitrary<readonly Step[]>,
): fc.Arbitrary<Rule[]> {
  return fc
    .array(fc.tuple(arbitraryMatch(), steps), { maxLength: 40 })
    .chain((list) =>
      fc.tuple(
        fc.constant(list),
        fc.shuffledSubarray(
          list.map((_, index) => index),
          { minLength: list.length },
        ),
      ),
    )
    .map(([list, order]) =>
      list.map(([match, does], index) =>
        makeTestRule(stage, `${index}`, order[index]! + 1, match, does),
      ),
    );
}

export function makeTestRule(
  stage: StageName,
  name: string,
  priority: number,
  match: { key: Uint32Array; mask: Uint32Array },
  steps: readonly Step[] = [],
): Rule {
  const id = `${stage}/${name}`;
  return {
    id,
    stage,
    priority,
    ...match,
    steps,
    origin: { object: `test ${name}`, path: '' },
    decision: decisionOf(id),
  };
}

/** A pipeline key with the same few values as the rules. */
export function arbitraryKey(): fc.Arbitrary<Uint32Array> {
  const values = fc.tuple(...matchable.map((entry) => fewValues(entry)));
  return fc.tuple(values, fc.nat(2), fc.nat(2)).map(([bytes, network, source]) => {
    const key = newPipelineKey();
    for (const [index, entry] of matchable.entries()) setBytes(key, 0, entry, bytes[index]!);
    key[register.network] = network;
    key[register.source] = source;
    return key;
  });
}

/** True when the rule matches the key. */
export function matches(rule: Rule, key: Uint32Array): boolean {
  return rule.mask.every((mask, index) => ((key[index]! ^ rule.key[index]!) & mask) === 0);
}

/** The oracle of the classifier: a walk through all rules. */
export function linearSearch(rules: readonly Rule[], key: Uint32Array): Rule | undefined {
  let best: Rule | undefined;
  for (const rule of rules) {
    if (matches(rule, key) && (best === undefined || rule.priority > best.priority)) best = rule;
  }
  return best;
}

/** Bits of the key (word, bit) of the first `words` words that a mask leaves wild. */
export function wildBits(mask: Uint32Array, words: number): [word: number, bit: number][] {
  const bits: [number, number][] = [];
  for (let word = 0; word < words; word += 1) {
    for (let bit = 0; bit < 32; bit += 1) {
      if (((mask[word]! >>> bit) & 1) === 0) bits.push([word, bit]);
    }
  }
  return bits;
}

export function sameWords(one: Uint32Array, other: Uint32Array): boolean {
  return one.length === other.length && one.every((word, index) => word === other[index]);
}
