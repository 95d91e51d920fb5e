// control/openapi.test.ts — the API describes every route of itself.

import { describe, expect, it } from 'vitest';
import { routes } from '../../../src/control/app.ts';
import { openApi } from '../../../src/control/openapi.ts';

interface Operation {
  description: string;
  parameters?: { name: string; in: string; description: string; schema: { type: string } }[];
  requestBody?: { content: Record<string, unknown> };
  responses: Record<string, { description: string; content: Record<string, { schema: unknown }> }>;
}
type Paths = Record<string, Record<string, Operation>>;

const description = openApi(routes, '1.2.3');
const paths = description.paths as Paths;

describe('the OpenAPI text', () => {
  it('is plain data of version 3.1', () => {
    expect(description).toMatchObject({ openapi: '3.1.0', info: { version: '1.2.3' } });
    expect(JSON.parse(JSON.stringify(description))).toEqual(description);
  });

  it.each(routes)('describes $method $path, its parameters and its answer', (route) => {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    const operation = paths[path]?.[route.method.toLowerCase()];
    expect(operation?.description).toMatch(/\.$/);
    const named = (operation?.parameters ?? []).filter((one) => one.in === 'path');
    const expected = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    expect(named.map(({ name }) => name)).toEqual(expected);
    for (const { description } of operation?.parameters ?? []) expect(description).toBeTruthy();
    const content = operation?.responses[200]?.content[route.answer.type];
    expect(content?.schema).toBeDefined();
    expect(operation?.requestBody !== undefined).toBe(route.body !== undefined);
  });

  it('gives every operation a name of its own', () => {
    expect(new Set(routes.map(({ name }) => name)).size).toBe(routes.length);
  });

  it('says what numbers a capture takes', () => {
    const parameters = paths['/v1/capture']?.get?.parameters ?? [];
    expect(parameters.map(({ name }) => name)).toEqual(['port', 'count', 'seconds']);
    expect(parameters[1]?.schema).toMatchObject({ type: 'integer', minimum: 1 });
  });
});
