// control/routes/state.ts — how things are: status, objects, flows, drops, counters, and trace.
//
// All of them only read.

import { z } from 'zod';
import { didYouMean } from '../../lib/closest.ts';
import { SwitchError } from '../../lib/errors.ts';
import type { DocumentKind } from '../../model/document.ts';
import { findKind, pluralWords } from '../kinds.ts';
import type { DataRoute } from '../route.ts';
import {
  connectionSchema,
  dropSchema,
  flowSchema,
  jsonType,
  objectStatusSchema,
  statusSchema,
  topSchema,
  traceRequestSchema,
  traceSchema,
  whyRequestSchema,
  whySchema,
} from '../schemas.ts';

const kindParameter = `One of ${pluralWords.join(', ')}; singular and short words are taken too.`;

function kindOf(word = ''): DocumentKind {
  const kind = findKind(word);
  if (kind !== undefined) return kind;
  const guess = didYouMean(word, pluralWords);
  throw new SwitchError('ERR_ARGUMENT_INVALID', `there is no kind "${word}"${guess}`, {
    remedy: `Kinds are ${pluralWords.join(', ')}.`,
  });
}

/** The body as the schema wants it. */
function bodyAs<Body>(schema: z.ZodType<Body>, body: string, example: string): Body {
  let request: unknown;
  try {
    request = JSON.parse(body);
  } catch (error) {
    throw new SwitchError('ERR_ARGUMENT_INVALID', 'the body is not JSON', { cause: error });
  }
  const parsed = schema.safeParse(request);
  if (parsed.success) return parsed.data;
  throw new SwitchError('ERR_ARGUMENT_INVALID', `the body is not ${example}`);
}

export const stateRoutes: readonly DataRoute[] = [
  {
    method: 'GET',
    path: '/v1/status',
    name: 'getStatus',
    description: 'The daemon, its datapath, counts, and what an operator should know.',
    answer: { type: jsonType, description: 'Status.', schema: statusSchema },
    answerTo: (api) => api.status(),
  },
  {
    method: 'GET',
    path: '/v1/objects/:kind',
    name: 'listObjects',
    description: 'All objects of a kind, with their state on this host.',
    params: { kind: kindParameter },
    answer: { type: jsonType, description: 'Objects.', schema: z.array(objectStatusSchema) },
    answerTo: (api, { params }) => api.objects(kindOf(params.kind)),
  },
  {
    method: 'GET',
    path: '/v1/objects/:kind/:name',
    name: 'getObject',
    description: 'One object, with its state on this host.',
    params: { kind: kindParameter, name: 'Name of the object.' },
    answer: { type: jsonType, description: 'The object.', schema: objectStatusSchema },
    answerTo(api, { params }) {
      const [object] = api.objects(kindOf(params.kind), params.name);
      if (object !== undefined) return object;
      throw new SwitchError('ERR_NOT_FOUND', `there is no ${params.kind} "${params.name}"`);
    },
  },
  {
    method: 'GET',
    path: '/v1/flows',
    name: 'listFlows',
    description: 'The megaflows in the datapath.',
    answer: { type: jsonType, description: 'Flows.', schema: z.array(flowSchema) },
    answerTo: (api) => api.flows(),
  },
  {
    method: 'POST',
    path: '/v1/trace',
    name: 'tracePacket',
    description: 'Takes a packet through the pipeline on paper: stages, rules, verdict.',
    body: { type: jsonType, description: 'The packet.', schema: traceRequestSchema },
    answer: { type: jsonType, description: 'The way of the packet.', schema: traceSchema },
    answerTo: (api, { body }) =>
      api.trace(bodyAs(traceRequestSchema, body, '{"key": "in_port=...,..."}')),
  },
  {
    method: 'POST',
    path: '/v1/why',
    name: 'explainPackets',
    description: 'Why real packets fare as they do: stages, rules, revision, what was near.',
    body: { type: jsonType, description: 'Which packets.', schema: whyRequestSchema },
    answer: { type: jsonType, description: 'What is known of them.', schema: whySchema },
    answerTo: (api, { body }) =>
      api.why(bodyAs(whyRequestSchema, body, '{"about": "last-drop PORT"}')),
  },
  {
    method: 'GET',
    path: '/v1/connections',
    name: 'listConnections',
    description: 'The live connections of the exact caches.',
    answer: { type: jsonType, description: 'Connections.', schema: z.array(connectionSchema) },
    answerTo: (api) => api.connections(),
  },
  {
    method: 'GET',
    path: '/v1/drops',
    name: 'listDrops',
    description:
      'Why packets ended: every reason with its count by port and rule, and a recent packet; ' +
      'also those that never happened.',
    answer: { type: jsonType, description: 'Drop reasons.', schema: z.array(dropSchema) },
    answerTo: (api) => api.drops(),
  },
  {
    method: 'GET',
    path: '/v1/top',
    name: 'getTop',
    description: 'Counters of ports, workers and the slow path.',
    answer: { type: jsonType, description: 'Counters.', schema: topSchema },
    answerTo: (api) => api.top(),
  },
];
