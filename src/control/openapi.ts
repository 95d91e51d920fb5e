// control/openapi.ts — the control API described by itself, as OpenAPI 3.1.
//
// Made from the routes and their zod schemas, so it cannot be out of date.

import { z } from 'zod';
import type { Route, RouteAnswer, RouteBody } from './route.ts';
import { errorSchema } from './schemas.ts';

type Json = Record<string, unknown>;

/** The description of `routes` as plain data. */
export function openApi(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'vtepd',
      version,
      summary: 'Control API of the virtual switch of one host.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: { schemas: { Error: jsonSchema(errorSchema) } },
  };
}

function operation(route: Route): Json {
  const parameters = [...pathParameters(route), ...queryParameters(route)];
  return {
    operationId: route.name,
    description: route.description,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined ? {} : { requestBody: requestBody(route.body) }),
    responses: {
      200: content(route.answer),
      default: {
        description: 'The request failed; the body says why.',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  };
}

function requestBody(body: RouteBody): Json {
  return { required: true, ...content(body) };
}

function content({ type, description, schema }: RouteAnswer | RouteBody): Json {
  const media = schema === undefined ? { schema: { type: 'string' } } : schemaOf(schema);
  return { description, content: { [type]: media } };
}

function schemaOf(schema: z.ZodType): Json {
  return { schema: jsonSchema(schema) };
}

function pathParameters(route: Route): Json[] {
  return Object.entries(route.params ?? {}).map(([name, description]) => {
    return { name, in: 'path', required: true, description, schema: { type: 'string' } };
  });
}

function queryParameters(route: Route): Json[] {
  if (route.query === undefined) return [];
  const { properties = {} } = jsonSchema(route.query);
  return Object.entries(properties as Record<string, Json>).map(([name, property]) => {
    const { description, ...schema } = property;
    return { name, in: 'query', required: false, description, schema };
  });
}

function jsonSchema(schema: z.ZodType): Json {
  // The dialect is that of OpenAPI 3.1, named once for the whole text.
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { unrepresentable: 'any' });
  return rest;
}
