// model/document.test.ts — the schemas describe every field, and can be published as JSON Schema.

import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { configSchema } from '../../../src/model/config.ts';
import {
  type Document,
  documentKinds,
  documentSchema,
  emptyDocument,
  singularOf,
} from '../../../src/model/document.ts';

interface JsonSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly additionalProperties?: unknown;
}

/** Paths of fields that nobody described, and of mappings that take unknown fields. */
function undescribed(schema: JsonSchema, path: string): string[] {
  const found: string[] = [];
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const below = `${path}.${name}`;
    if (field.description === undefined && field.items?.description === undefined)
      found.push(below);
    found.push(...undescribed(field, below));
  }
  if (schema.properties !== undefined && schema.additionalProperties !== false) found.push(path);
  return schema.items === undefined ? found : [...found, ...undescribed(schema.items, `${path}[]`)];
}

describe.each([
  ['document', documentSchema],
  ['configuration', configSchema],
])('the schema of a %s', (name, schema) => {
  test.each(['input', 'output'] as const)('describes each field as JSON Schema (%s)', (io) => {
    const published = z.toJSONSchema(schema, { io }) as JsonSchema;
    // An input schema with defaults may leave unknown fields to the reader; the parser never does.
    const found = undescribed(published, name);
    expect(found).toEqual([]);
  });
});

test('the published schema of a document takes every way to write a field', () => {
  const text = JSON.stringify(z.toJSONSchema(documentSchema, { io: 'input' }));
  expect(text).toContain('"anyOf":[{"type":"boolean"},{"type":"object"');
  expect(text).toContain('"type":["string","number"]');
});

describe('a document', () => {
  test('has one section for each kind, and a word for one object of it', () => {
    expect(Object.keys(emptyDocument).sort()).toEqual([...documentKinds].sort());
    for (const kind of documentKinds) {
      expect(emptyDocument[kind]).toEqual([]);
      expect(kind.toLowerCase()).toBe(`${singularOf[kind].replace(' ', '')}s`.toLowerCase());
    }
  });

  test('is read-only, for the type checker and at run time', () => {
    const document: Document = emptyDocument;
    const replace = () => {
      // @ts-expect-error sections cannot be replaced
      document.hosts = [];
    };
    expect(replace).toThrow(TypeError);
  });
});
