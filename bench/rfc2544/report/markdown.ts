// bench/rfc2544/report/markdown.ts — the report as Markdown: facts, tables, notes.
//
// It is what a run prints, and what goes into an issue or a mail.

import type { Document } from '../../report.ts';
import { aligned } from '../../tables.ts';
import type { Rfc2544Document } from '../document.ts';
import { facts, readingNotes } from './facts.ts';
import { tablesOf } from './table.ts';

/** Throws nothing: a document without figures has none. */
export function markdown(document: Document, run: Rfc2544Document): string {
  const { tables, notes } = tablesOf(run);
  const parts = [
    '# RFC 2544 benchmark',
    ...(run.partial === undefined ? [] : [`**Partial.** ${run.partial}`]),
    facts(document, run)
      .map(([name, text]) => `- ${name}: ${text}`)
      .join('\n'),
    readingNotes.join('\n'),
    ...(run.problems.length === 0 ? [] : [`## Not measured\n\n${list(run.problems)}`]),
    ...tables.map(({ title, head, lines }) => `## ${title}\n\n${aligned([head, ...lines])}`),
    ...(notes.all.length === 0 ? [] : [`## Notes\n\n${numbered(notes.all)}`]),
  ];
  return `${parts.join('\n\n')}\n`;
}

const list = (sentences: readonly string[]): string =>
  sentences.map((sentence) => `- ${sentence}`).join('\n');

const numbered = (sentences: readonly string[]): string =>
  sentences.map((sentence, at) => `${at + 1}. ${sentence}`).join('\n');
