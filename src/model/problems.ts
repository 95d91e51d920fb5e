// model/problems.ts — turns what a schema refuses into sentences about a field.
//
// Schemas say by their message what would have been right (model/fields.ts); here is added what
// was found instead. One finding per wrong field, all of them, none about a consequence of another.

import type { z } from 'zod';
import { didYouMean } from '../lib/closest.ts';
import type { Problem } from '../lib/errors.ts';
import {
  type Finding,
  findingsMax,
  type Path,
  type PlacedFinding,
  type Position,
} from './source.ts';

/** Found text is shown up to this many characters. */
const shownLengthMax = 48;

/** `ports[2].mac`: how a path is written in messages. */
export function pathText(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** Everything that a schema refused in `value`, one finding per field. */
export function schemaFindings(error: z.ZodError, value: unknown): Finding[] {
  return error.issues.flatMap((issue) => issueFindings(issue, value, []));
}

/** Findings with file, line and column, in the order of the text. */
export function toProblems(
  findings: readonly PlacedFinding[],
  file: string | undefined,
  locate: (finding: Finding) => Position | undefined,
): Problem[] {
  const listed = findings.slice(0, findingsMax);
  const problems = listed.map((finding): Problem => {
    const { message, expected } = finding;
    const place = finding.position ?? locate(finding);
    const named = file === undefined ? {} : { file };
    return { ...named, ...place, path: pathText(finding.path), message, expected };
  });
  problems.sort(
    (one, other) => (one.line ?? 0) - (other.line ?? 0) || (one.column ?? 0) - (other.column ?? 0),
  );
  const hidden = findings.length - listed.length;
  if (hidden > 0) {
    const message = `there are ${hidden} problems more`;
    problems.push({ path: '', message, expected: 'the listed ones to be corrected first' });
  }
  return problems;
}

/** A value as a message shows it: text in quotes, containers by their kind, all of it short. */
export function show(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length <= shownLengthMax ? text : `${text.slice(0, shownLengthMax - 3)}...`;
}

function issueFindings(issue: z.core.$ZodIssue, root: unknown, prefix: Path): Finding[] {
  const path = [
    ...prefix,
    ...issue.path.map((step) => (typeof step === 'number' ? step : String(step))),
  ];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownField(path, key, issue.message));
  }
  if (issue.code === 'invalid_union') {
    // The alternative that was meant is the one that got past the kind of the value.
    const meant = issue.errors.find((errors) => errors.every(isInside));
    if (meant !== undefined && meant.length > 0) {
      return meant.flatMap((inner) => issueFindings(inner, root, path));
    }
  }
  const found = issue.code === 'custom' ? issue.params?.found : undefined;
  const { present, value } = valueAt(root, path);
  const expected = issue.message;
  if (!present) return [{ path, message: 'the field is missing', expected }];
  if (typeof found === 'string') return [{ path, message: `${show(value)} ${found}`, expected }];
  const message = value === null ? 'the field is empty' : `found ${show(value)}`;
  const near = issue.code === 'invalid_value' && typeof value === 'string';
  const hint = near ? didYouMean(value, issue.values.map(String)) : '';
  return [{ path, message: message + hint, expected }];
}

function isInside(issue: z.core.$ZodIssue): boolean {
  return issue.path.length > 0 || issue.code === 'unrecognized_keys';
}

function unknownField(path: Path, key: string, mappingText: string): Finding {
  const [, fields = ''] = mappingText.split(' with the fields ');
  const hint = didYouMean(key, fields.split(', '));
  const message = `there is no such field${hint}`;
  return { path: [...path, key], message, expected: mappingText, atKey: true };
}

function valueAt(root: unknown, path: Path): { present: boolean; value: unknown } {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) {
      return { present: false, value: undefined };
    }
    value = (value as Record<string | number, unknown>)[step];
  }
  return { present: true, value };
}
