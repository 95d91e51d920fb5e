// control/kinds.test.ts — the words for kinds are those of the model, and each means one kind.

import { describe, expect, it } from 'vitest';
import { findKind, kinds, kindWords } from '../../../src/control/kinds.ts';
import { documentKinds, singularOf } from '../../../src/model/document.ts';

describe('kinds', () => {
  it('are those of the document, in its order, with its words', () => {
    expect(kinds).toEqual(documentKinds);
    for (const kind of documentKinds) expect(kindWords[kind].singular).toBe(singularOf[kind]);
  });

  it.each(documentKinds)('%s is found by every word for it', (kind) => {
    const { singular, plural, short } = kindWords[kind];
    for (const word of [kind, singular, plural, short, plural.toUpperCase()]) {
      expect(findKind(word)).toBe(kind);
    }
  });

  it('are not guessed', () => {
    expect(findKind('prots')).toBeUndefined();
    expect(findKind('')).toBeUndefined();
  });
});
