// model/checked.ts — what the checks of a document share: names, duplicates, findings.
//
// The checks themselves are in model/check.ts and model/check-security.ts.

import { didYouMean } from '../lib/closest.ts';
import { type Document, type DocumentKind, singularOf } from './document.ts';
import type { Path } from './source.ts';

/** Suggestions compare with every name there is; a file of nothing but typos gets this many. */
const suggestionsMax = 100;

/** Takes one finding: where, what is wrong, what would be right. */
export type Report = (path: Path, message: string, expected: string) => void;

/** The document with its names looked up, and the place for findings. */
export interface Checked {
  readonly document: Document;
  readonly report: Report;
  /** Reports a name that no object of the kind has; true when there is one. */
  readonly known: (kind: DocumentKind, name: string, path: Path) => boolean;
}

/** Looks names up, with one set of names per section that is made when it is first needed. */
export function nameFinder(document: Document, report: Report): Checked['known'] {
  const namesOf = new Map<DocumentKind, Set<string>>();
  let suggestions = 0;
  return (kind, name, path) => {
    let names = namesOf.get(kind);
    if (names === undefined) {
      names = new Set(document[kind].map((object) => object.name));
      namesOf.set(kind, names);
    }
    if (names.has(name)) return true;
    suggestions += 1;
    const hint = suggestions <= suggestionsMax ? didYouMean(name, names) : '';
    const what = singularOf[kind];
    report(path, `there is no ${what} "${name}"${hint}`, `one of the names in ${kind}`);
    return false;
  };
}

/**
 * Reports a key that was used before.
 * @param owners first path of each key; grows
 */
export function unique(
  checked: Checked,
  owners: Map<string, string>,
  use: { key: string; owner: string; path: Path; message: string; expected: string },
): void {
  const owner = owners.get(use.key);
  if (owner === undefined) owners.set(use.key, use.owner);
  else checked.report(use.path, `${use.message} by ${owner}`, use.expected);
}

/** Reports entries of a list that stand in it before. */
export function uniqueEntries(checked: Checked, list: readonly string[], path: Path): void {
  if (list.length < 2) return;
  const seen = new Set<string>();
  for (const [index, entry] of list.entries()) {
    if (seen.has(entry)) {
      checked.report([...path, index], `"${entry}" is in the list twice`, 'each entry once');
    }
    seen.add(entry);
  }
}
