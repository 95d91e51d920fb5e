// model/diff.ts — what changes between two documents, and the fingerprint of one.
//
// Objects are the same when section and name are. Order says nothing in a section or in a list of
// names; it does in a port's addresses and a group's rules, which are compared as they stand.
// Equal fingerprints and an empty difference are the same thing.

import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type Document, type DocumentKind, documentKinds, singularOf } from './document.ts';

/** One field of an object that is there before and after; undefined where it is not set. */
export interface FieldChange {
  /** Name of the field, with a dot for fields of fields: `qos.ingress`. */
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** One object that is added, removed or changed. */
export interface ObjectChange {
  readonly kind: DocumentKind;
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** All fields of an added or removed object, otherwise those that differ; sorted. */
  readonly fields: readonly FieldChange[];
}

/** Lists whose order says nothing. */
const unorderedFields: Readonly<Record<DocumentKind, readonly string[]>> = {
  hosts: ['networks'],
  networks: [],
  subnets: [],
  routers: ['subnets'],
  securityGroups: [],
  addressSets: ['addresses'],
  acls: ['networks', 'securityGroups'],
  ports: ['securityGroups'],
};

type Named = Readonly<Record<string, unknown>> & { readonly name: string };

/**
 * What it takes to get from one document to another: by section in the order of documentKinds,
 * then by name. Empty when both mean the same.
 */
export function diffDocuments(from: Document, to: Document): readonly ObjectChange[] {
  return documentKinds.flatMap((kind) => diffSection(kind, from, to));
}

/**
 * `to`, with every object that the changes leave out replaced by the one of `from`: what is the
 * same is the very same object then, which can be seen without comparing contents.
 */
export function withUnchanged(
  from: Document,
  to: Document,
  changes: readonly ObjectChange[],
): Document {
  const sections = documentKinds.map((kind) => {
    const changed = new Set(changes.filter((one) => one.kind === kind).map(({ name }) => name));
    if (changed.size === 0) return [kind, from[kind]];
    const before = new Map<string, Named>(from[kind].map((object) => [object.name, object]));
    const objects = to[kind].map((object) =>
      changed.has(object.name) ? object : (before.get(object.name) ?? object),
    );
    return [kind, objects];
  });
  return Object.fromEntries(sections) as Document;
}

function diffSection(kind: DocumentKind, from: Document, to: Document): ObjectChange[] {
  const before = new Map<string, Named>(from[kind].map((object) => [object.name, object]));
  const after = new Map<string, Named>(to[kind].map((object) => [object.name, object]));
  const changes: ObjectChange[] = [];
  for (const name of [...new Set([...before.keys(), ...after.keys()])].sort(byCodeUnits)) {
    const [old, now] = [before.get(name), after.get(name)];
    if (old === now) continue;
    const fields = diffFields(canonicalObject(kind, old), canonicalObject(kind, now));
    const change = old === undefined ? 'added' : now === undefined ? 'removed' : 'changed';
    if (change !== 'changed' || fields.length > 0) changes.push({ kind, name, change, fields });
  }
  return changes;
}

function diffFields(from: Named | undefined, to: Named | undefined): FieldChange[] {
  const before = flatten(from);
  const after = flatten(to);
  const names = [...new Set([...before.keys(), ...after.keys()])].sort(byCodeUnits);
  return names
    .map((field) => ({ field, from: before.get(field), to: after.get(field) }))
    .filter(({ field, from, to }) => field !== 'name' && !isSame(from, to));
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false; // the usual case, and cheap
  return isDeepStrictEqual(one, other);
}

/** Fields of an object by name, those of a mapping below it with a dot; lists stay whole. */
function flatten(object: Readonly<Record<string, unknown>> | undefined): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const [name, value] of Object.entries(object ?? {})) {
    if (value === undefined) continue;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      fields.set(name, value);
      continue;
    }
    const inner = flatten(value as Readonly<Record<string, unknown>>);
    for (const [below, part] of inner) fields.set(`${name}.${below}`, part);
    // An empty mapping is written like none, and means the same.
  }
  return fields;
}

/** Keys sorted, unordered lists sorted, what is undefined or empty left out. */
function canonicalObject(kind: DocumentKind, object: Named | undefined): Named | undefined {
  if (object === undefined) return undefined;
  const sorted = { ...object } as Record<string, unknown>;
  for (const field of unorderedFields[kind]) {
    const list = sorted[field];
    if (Array.isArray(list)) sorted[field] = list.map(String).sort(byCodeUnits);
  }
  return sortKeys(sorted) as Named;
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .filter(([, part]) => part !== undefined && !isEmptyMapping(part))
    .sort(([one], [other]) => byCodeUnits(one, other));
  return Object.fromEntries(entries.map(([name, part]) => [name, sortKeys(part)]));
}

function isEmptyMapping(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((part) => part === undefined);
}

/** The document in the one form that all documents of the same meaning share. */
export function canonicalDocument(document: Document): Document {
  const sections = documentKinds.map((kind) => {
    const objects = document[kind].map((object) => canonicalObject(kind, object) as Named);
    objects.sort((one, other) => byCodeUnits(one.name, other.name));
    return [kind, objects];
  });
  return Object.fromEntries(sections) as Document;
}

/**
 * Without what later versions have added, where it says nothing: the fingerprint of a document does
 * not change with the version.
 */
function withoutAdditions(document: Document): unknown {
  const { acls, securityGroups, routers: all, ...rest } = document;
  const groups = securityGroups.map(({ stateful, ...group }) =>
    stateful ? group : { ...group, stateful },
  );
  const routers = all.map(({ routes, ...router }) =>
    routes.length === 0 ? router : { ...router, routes },
  );
  const later = acls.length > 0 ? { acls } : {};
  return sortSections({ ...rest, routers, securityGroups: groups, ...later });
}

function sortSections(sections: Readonly<Record<string, unknown>>): unknown {
  const present = documentKinds.filter((kind) => kind in sections);
  return Object.fromEntries(present.map((kind) => [kind, sections[kind]]));
}

/** Fingerprint of what a document means: 64 hexadecimal digits of SHA-256. */
export function revisionOf(document: Document): string {
  const text = JSON.stringify(withoutAdditions(canonicalDocument(document)));
  return createHash('sha256').update(text).digest('hex');
}

const signOf = { added: '+', removed: '-', changed: '~' } as const;

/** The difference as text for people, stable from run to run; empty for no difference. */
export function renderDiff(changes: readonly ObjectChange[]): string {
  const lines: string[] = [];
  for (const { kind, name, change, fields } of changes) {
    lines.push(`${signOf[change]} ${singularOf[kind]} ${name}`);
    for (const { field, from, to } of fields) {
      if (change === 'added') lines.push(`    ${field}: ${inline(to)}`);
      if (change === 'changed') lines.push(...renderChange(field, from, to));
    }
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** Entries of short lists are few; of rules and of long lists, those that differ are told. */
const wholeListMax = 8;

function renderChange(field: string, from: unknown, to: unknown): string[] {
  const whole = [`    ${field}: ${inline(from)} -> ${inline(to)}`];
  if (!Array.isArray(from) || !Array.isArray(to)) return whole;
  const entries = [...from, ...to];
  const plain = entries.every((entry) => typeof entry !== 'object');
  if (plain && from.length + to.length <= wholeListMax) return whole;
  const [old, now] = [from.map(inline), to.map(inline)];
  const [before, after] = [new Set(old), new Set(now)];
  const gone = old.filter((entry) => !after.has(entry));
  const come = now.filter((entry) => !before.has(entry));
  if (gone.length + come.length === 0) return whole;
  return [
    ...gone.map((entry) => `    ${field}: - ${entry}`),
    ...come.map((entry) => `    ${field}: + ${entry}`),
  ];
}

function inline(value: unknown): string {
  if (value === undefined) return '(none)';
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const parts = Object.entries(value).map(([name, part]) => `${name}: ${inline(part)}`);
  return `{ ${parts.join(', ')} }`;
}

/** Order that no locale changes. */
function byCodeUnits(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
