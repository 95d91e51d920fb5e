// model/parse.ts — text to Document, or to every reason why not.
//
// A document is taken whole or refused whole. Refusal lists all problems with file, line, column
// and field: first those of syntax; then those of single fields; then, once every field is right
// for itself, those of fields that contradict each other (model/check.ts). The daemon's own file
// is read by the same code (model/config.ts).

import { stringify } from 'yaml';
import type { z } from 'zod';
import { type ErrorCode, type Problem, SwitchError } from '../lib/errors.ts';
import { checkDocument } from './check.ts';
import { type Document, documentSchema } from './document.ts';
import { schemaFindings, toProblems } from './problems.ts';
import { type Finding, readSource } from './source.ts';

/** What to read a text as, and how to call it when it is refused. */
export interface Grammar<Output> {
  readonly schema: z.ZodType<Output>;
  /** Checks a value whose fields are each right; empty when they fit together. */
  readonly check: (value: Output) => readonly Finding[];
  readonly code: ErrorCode;
  /** How messages call the whole, such as "document". */
  readonly what: string;
}

const documentGrammar: Grammar<Document> = {
  schema: documentSchema,
  check: checkDocument,
  code: 'ERR_DOCUMENT_INVALID',
  what: 'document',
};

/**
 * Reads the desired state from YAML or JSON text (UTF-8 when bytes).
 * @param file name for messages, as the user wrote it
 * @throws SwitchError ERR_DOCUMENT_INVALID with all problems
 */
export function parseDocument(input: string | Uint8Array, file?: string): Document {
  return parseText(documentGrammar, input, file);
}

/**
 * Takes the desired state from a value that somebody else has parsed; problems have no lines.
 * @throws SwitchError ERR_DOCUMENT_INVALID with all problems
 */
export function documentFromValue(value: unknown): Document {
  const result = readValue(documentGrammar, value);
  if ('value' in result) return result.value;
  throw refusal(
    documentGrammar,
    toProblems(result.findings, undefined, () => undefined),
  );
}

/** A document as text that parseDocument reads back to an equal one. */
export function stringifyDocument(document: Document, format: 'yaml' | 'json' = 'yaml'): string {
  if (format === 'json') return `${JSON.stringify(document, undefined, 2)}\n`;
  return stringify(document, { aliasDuplicateObjects: false, lineWidth: 100, version: '1.2' });
}

/** Reads text by a grammar; throws a SwitchError with the grammar's code and all problems. */
export function parseText<Output>(
  grammar: Grammar<Output>,
  input: string | Uint8Array,
  file?: string,
): Output {
  const source = readSource(input);
  if ('findings' in source) {
    throw refusal(
      grammar,
      toProblems(source.findings, file, () => undefined),
      file,
    );
  }
  const result = readValue(grammar, source.value);
  if ('value' in result) return result.value;
  throw refusal(grammar, toProblems(result.findings, file, source.locate), file);
}

function readValue<Output>(
  grammar: Grammar<Output>,
  value: unknown,
): { readonly value: Output } | { readonly findings: readonly Finding[] } {
  const parsed = grammar.schema.safeParse(value);
  if (!parsed.success) return { findings: schemaFindings(parsed.error, value) };
  const findings = grammar.check(parsed.data);
  return findings.length === 0 ? { value: parsed.data } : { findings };
}

function refusal<Output>(
  grammar: Grammar<Output>,
  problems: readonly Problem[],
  file?: string,
): SwitchError {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  const named = file !== undefined && file !== grammar.what;
  const name = named ? `the ${grammar.what} ${file}` : `the ${grammar.what}`;
  return new SwitchError(grammar.code, `${name} is refused: ${count}`, { problems });
}
