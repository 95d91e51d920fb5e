// model/source.ts — text of a document or configuration: its value, and where each field stands.
//
// Reads YAML 1.2 and JSON, one document per text. Text is hostile until it is read: size, aliases
// and what they expand to are limited, repeated fields and tags are refused, numbers are decimal
// (so that a file mode such as 0660 or 0o660 never changes its meaning on the way).
// JSON takes the fast way through JSON.parse; positions are looked up only when something is wrong.

import { isUtf8 } from 'node:buffer';
import * as yaml from 'yaml';

export const inputBytesMax = 16 * 1024 * 1024;

/** Most uses of anchors, both as they are written and counted through nesting. */
export const aliasCountMax = 10_000;

/** Deepest nesting, counted as columns of indentation, indicators and open brackets. */
export const nestingMax = 512;

/** Most findings that are listed; looking up places takes time for each. */
export const findingsMax = 1000;

/** Most values after aliases are expanded: what 16 MiB can hold without any is about as many. */
export const expandedCountMax = 4_000_000;

/** Steps from the whole value to one field: names of fields and indexes of lists. */
export type Path = readonly (string | number)[];

/** Something wrong at a field, before it is known where in the text that field stands. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
  readonly expected: string;
  /** The name of the field is wrong, not its value: point at the name. */
  readonly atKey?: boolean;
}

/** Line and column, both from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A finding with its place, which is known even where no field is, as in broken syntax. */
export interface PlacedFinding extends Finding {
  readonly position?: Position;
}

/** What reading a text gives: a value and a way to find its fields, or what is wrong with it. */
export type Source =
  | { readonly value: unknown; readonly locate: (finding: Finding) => Position | undefined }
  | { readonly findings: readonly PlacedFinding[] };

const anyText = 'YAML or JSON text';

/** Reads one YAML or JSON document; never throws for what the text holds. */
export function readSource(input: string | Uint8Array): Source {
  const bytes = typeof input === 'string' ? Buffer.byteLength(input) : input.byteLength;
  if (bytes > inputBytesMax) {
    const message = `the input has ${bytes} bytes`;
    return { findings: [{ path: [], message, expected: `at most ${inputBytesMax} bytes` }] };
  }
  if (typeof input !== 'string' && !isUtf8(input)) return { findings: [notUtf8(input)] };
  const decoded = typeof input === 'string' ? input : new TextDecoder().decode(input);
  const text = decoded.startsWith('\uFEFF') ? decoded.slice(1) : decoded;
  try {
    return readJson(text) ?? readYaml(text);
  } catch (error) {
    if (error instanceof Refusal) return { findings: [error.finding] };
    // Anchors can build a value deeper than its text is nested.
    if (error instanceof RangeError) return { findings: [tooDeep(undefined)] };
    throw error;
  }
}

/** Carries a finding out of the middle of reading. */
class Refusal extends Error {
  readonly finding: PlacedFinding;

  constructor(finding: PlacedFinding) {
    super(finding.message);
    this.finding = finding;
  }
}

function tooDeep(position: Position | undefined): PlacedFinding {
  const message = 'the text is nested too deeply';
  return { path: [], message, expected: `at most ${nestingMax} levels`, position };
}

/** The first line that is not UTF-8: no sequence of UTF-8 spans a line break. */
function notUtf8(input: Uint8Array): PlacedFinding {
  let line = 1;
  let start = 0;
  for (;;) {
    const end = input.indexOf(0x0a, start);
    const stop = end < 0 ? input.length : end;
    if (end < 0 || !isUtf8(input.subarray(start, stop))) break;
    line += 1;
    start = stop + 1;
  }
  const position = { line, column: 1 };
  return { path: [], message: 'the line is not UTF-8', expected: 'text in UTF-8', position };
}

function readJson(text: string): Source | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (hasRepeatedKeys(text)) return undefined;
  let composed: Composed | undefined;
  const locate = (finding: Finding) => {
    try {
      composed ??= compose(text);
    } catch (error) {
      // JSON.parse goes deeper than this text may be; the problem is said without its place.
      if (error instanceof Refusal) return undefined;
      throw error;
    }
    return locateIn(composed, finding);
  };
  return { value, locate };
}

/** True when an object of valid JSON text names a field twice; JSON.parse keeps the last. */
function hasRepeatedKeys(text: string): boolean {
  const token = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}]/g;
  const open: Set<string>[] = [];
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    if (match[0] === '{') open.push(new Set());
    else if (match[0] === '}') open.pop();
    else if (match[1] !== undefined) {
      const quoted = match[0].slice(0, match[0].length - match[1].length);
      const key = quoted.includes('\\') ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
      const keys = open[open.length - 1];
      if (keys === undefined || keys.has(key)) return true;
      keys.add(key);
    }
  }
  return false;
}

const yamlOptions = {
  version: '1.2',
  schema: 'core',
  // 0o660 and 0x10 stay text, which the field then judges.
  customTags: (tags: yaml.Tags) =>
    tags.filter((tag) => typeof tag === 'string' || (tag.format !== 'OCT' && tag.format !== 'HEX')),
  prettyErrors: false,
  logLevel: 'error',
  stringKeys: true,
} as const satisfies yaml.ParseOptions & yaml.DocumentOptions & yaml.SchemaOptions;

/** Nodes of a text, and where its lines begin. */
interface Composed {
  readonly document: yaml.Document;
  readonly lines: yaml.LineCounter;
  /** Uses of anchors, as they are written. */
  readonly aliasCount: number;
}

/**
 * Composes nodes as yaml.parseDocument does, but looks at each piece of text on its way: the
 * composer recurses, and a process whose stack is exhausted there may die instead of throwing.
 */
function compose(text: string): Composed {
  const lines = new yaml.LineCounter();
  const composer = new yaml.Composer({ ...yamlOptions, lineCounter: lines });
  const bounds = new Bounds();
  const documents = [...composer.compose(boundedTokens(text, lines, bounds), true, text.length)];
  const [document, second] = documents;
  if (document === undefined) throw new Error('the composer gives one document at least');
  if (second !== undefined) {
    const position = positionAt(lines, second.range[0]);
    const message = 'a second document starts here';
    throw new Refusal({ path: [], message, expected: 'one document', position });
  }
  return { document, lines, aliasCount: bounds.aliasCount };
}

function* boundedTokens(
  text: string,
  lines: yaml.LineCounter,
  bounds: Bounds,
): Generator<yaml.CST.Token> {
  const parser = new yaml.Parser(lines.addNewLine);
  lines.addNewLine(0);
  for (const lexeme of new yaml.Lexer().lex(text)) {
    bounds.add(lexeme, lines.lineStarts.length);
    yield* parser.next(lexeme);
  }
  yield* parser.end();
}

/** Follows the lexer, and refuses what would be nested or repeated without measure. */
class Bounds {
  #brackets = 0;
  #indentation = 0;
  #indicators = 0;
  #aliases = 0;
  #lineStart = true;

  get aliasCount(): number {
    return this.#aliases;
  }

  /** @param lexeme piece of text as yaml.Lexer gives it: scalars and marks begin with a control */
  add(lexeme: string, line: number): void {
    const first = lexeme[0];
    if (first === '\n' || first === '\r') {
      this.#indentation = 0;
      this.#indicators = 0;
      this.#lineStart = true;
      return;
    }
    if (this.#lineStart && first === ' ') this.#indentation = lexeme.length;
    this.#lineStart = false;
    if (lexeme === '[' || lexeme === '{') this.#brackets += 1;
    else if (lexeme === ']' || lexeme === '}') this.#brackets = Math.max(0, this.#brackets - 1);
    else if (this.#brackets === 0 && (lexeme === '-' || lexeme === '?')) this.#indicators += 1;
    else if (first === '*') this.#addAlias(line);
    if (this.#brackets + this.#indentation + this.#indicators > nestingMax) {
      throw new Refusal(tooDeep({ line, column: 1 }));
    }
  }

  #addAlias(line: number): void {
    this.#aliases += 1;
    if (this.#aliases <= aliasCountMax) return;
    throw new Refusal({ ...tooManyAliases, position: { line, column: 1 } });
  }
}

const tooManyAliases: PlacedFinding = {
  path: [],
  message: 'aliases are used too often',
  expected: `at most ${aliasCountMax} uses of anchors, and ${expandedCountMax} values`,
};

function readYaml(text: string): Source {
  const composed = compose(text);
  const { document, lines, aliasCount } = composed;
  const wrong = [...document.errors, ...document.warnings];
  if (wrong.length > 0) {
    const findings = wrong.slice(0, findingsMax);
    return { findings: findings.map((error) => syntaxFinding(document, lines, error)) };
  }
  if (document.contents === null || isEmptyScalar(document.contents)) {
    const message = 'the input is empty';
    return { findings: [{ path: [], message, expected: 'a mapping; {} if nothing is wanted' }] };
  }
  const unknown = aliasCount === 0 ? undefined : unknownAlias(document, lines);
  if (unknown !== undefined) return { findings: [unknown] };
  const value = toValue(document);
  if (aliasCount > 0 && !expandsWithin(value, expandedCountMax)) {
    return { findings: [{ ...tooManyAliases, message: 'aliases expand to too much' }] };
  }
  return { value, locate: (finding) => locateIn(composed, finding) };
}

function toValue(document: yaml.Document): unknown {
  try {
    return document.toJS({ maxAliasCount: aliasCountMax });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw new Refusal(tooManyAliases);
  }
}

function isEmptyScalar(node: unknown): boolean {
  return yaml.isScalar(node) && node.value === null && (node.source ?? '') === '';
}

/** What the yaml package found wrong, in the words of this project. */
function syntaxFinding(
  document: yaml.Document,
  lines: yaml.LineCounter,
  error: yaml.YAMLError,
): PlacedFinding {
  const offset = error.pos[0];
  const position = positionAt(lines, offset);
  const path = pathAt(document.contents, offset);
  switch (error.code) {
    case 'DUPLICATE_KEY':
      return { path, message: 'the field is given twice', expected: 'each field once', position };
    case 'TAG_RESOLVE_FAILED':
      return { path, message: 'the value has an unknown tag', expected: 'no tags', position };
    default: {
      const [first = ''] = error.message.split('\n');
      return { path, message: `syntax: ${first}`, expected: anyText, position };
    }
  }
}

/** The first alias whose anchor does not stand before it. */
function unknownAlias(document: yaml.Document, lines: yaml.LineCounter): PlacedFinding | undefined {
  const anchors = new Set<string>();
  let unknown: PlacedFinding | undefined;
  yaml.visit(document, {
    Alias: (_, alias) => {
      if (anchors.has(alias.source)) return undefined;
      const offset = rangeStart(alias) ?? 0;
      const path = pathAt(document.contents, offset);
      const message = `there is no anchor "${alias.source}"`;
      const position = positionAt(lines, offset);
      unknown = { path, message, expected: 'the name of an anchor above', position };
      return yaml.visit.BREAK;
    },
    Value: (_, node) => {
      if (node.anchor !== undefined) anchors.add(node.anchor);
    },
  });
  return unknown;
}

/** True when the value has at most `limit` parts, shared ones counted wherever they appear. */
function expandsWithin(root: unknown, limit: number): boolean {
  const counts = new Map<object, number>();
  const count = (value: unknown): number => {
    if (typeof value !== 'object' || value === null) return 1;
    const known = counts.get(value);
    if (known !== undefined) return known;
    // A part that contains itself is endless.
    counts.set(value, Number.POSITIVE_INFINITY);
    let sum = 1;
    for (const part of Object.values(value)) sum += count(part);
    counts.set(value, sum);
    return sum;
  };
  return count(root) <= limit;
}

function positionAt(lines: yaml.LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  // An empty text has no line; its problem still belongs to the first.
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** Position of a field, or of the nearest thing around it that is in the text. */
function locateIn({ document, lines }: Composed, finding: Finding): Position | undefined {
  let node: unknown = document.contents;
  let offset = rangeStart(node);
  for (const [depth, step] of finding.path.entries()) {
    const resolved = yaml.isAlias(node) ? node.resolve(document) : node;
    let key: unknown;
    if (yaml.isMap(resolved)) {
      const pair = resolved.items.find((item) => keyText(item.key) === String(step));
      key = pair?.key;
      node = pair?.value;
    } else if (yaml.isSeq(resolved)) {
      node = resolved.items[Number(step)];
    } else break;
    const last = depth === finding.path.length - 1;
    const start = last && finding.atKey === true ? rangeStart(key) : rangeStart(node);
    const next = start ?? rangeStart(key);
    if (next === undefined) break;
    offset = next;
  }
  return offset === undefined ? undefined : positionAt(lines, offset);
}

function keyText(key: unknown): string {
  return yaml.isScalar(key) ? String(key.value) : String(key);
}

function rangeStart(node: unknown): number | undefined {
  return yaml.isNode(node) ? node.range?.[0] : undefined;
}

/** Path to the innermost field around an offset of the text. */
function pathAt(root: unknown, offset: number): Path {
  const path: (string | number)[] = [];
  let node = root;
  for (;;) {
    if (yaml.isMap(node)) {
      // Of a repeated field, the last one that starts before the offset is meant.
      const pair = node.items.findLast((item) => (rangeStart(item.key) ?? 0) <= offset);
      if (pair === undefined) return path;
      path.push(keyText(pair.key));
      node = pair.value;
    } else if (yaml.isSeq(node)) {
      const index = node.items.findLastIndex((item) => (rangeStart(item) ?? 0) <= offset);
      if (index < 0) return path;
      path.push(index);
      node = node.items[index];
    } else return path;
    const start = rangeStart(node);
    if (start === undefined || start > offset) return path;
  }
}
