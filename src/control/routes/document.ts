// control/routes/document.ts — the document: what is in force, what would change, change it.
//
// The body is the document's text as the user wrote it, so that messages can name line and column.

import { type ObjectChange, renderDiff } from '../../model/diff.ts';
import type { DataRoute } from '../route.ts';
import {
  applyAnswerSchema,
  applyQuerySchema,
  diffAnswerSchema,
  documentAnswerSchema,
  fileQuerySchema,
  jsonType,
} from '../schemas.ts';
import type { ApplyOptions } from '../switch-api.ts';

const body = { type: 'application/yaml', description: 'A document, as YAML or JSON.' };
const fileDefault = 'document';

function fileOf(query: unknown): string {
  return (query as { file?: string }).file ?? fileDefault;
}

function withText<Answer extends { readonly changes: readonly ObjectChange[] }>(answer: Answer) {
  return { ...answer, text: renderDiff(answer.changes) };
}

export const documentRoutes: readonly DataRoute[] = [
  {
    method: 'GET',
    path: '/v1/document',
    name: 'getDocument',
    description: 'The document in force.',
    answer: { type: jsonType, description: 'The document.', schema: documentAnswerSchema },
    answerTo: (api) => api.document(),
  },
  {
    method: 'PUT',
    path: '/v1/document',
    name: 'applyDocument',
    description: 'Puts a document in force: wholly or, when anything is wrong with it, not at all.',
    query: applyQuerySchema,
    body,
    answer: { type: jsonType, description: 'What changed.', schema: applyAnswerSchema },
    answerTo: async (api, asked) => {
      const { file: _file, ...options } = asked.query as ApplyOptions & { file?: string };
      return withText(await api.apply(asked.body, fileOf(asked.query), options));
    },
  },
  {
    method: 'POST',
    path: '/v1/diff',
    name: 'diffDocument',
    description: 'What applying a document would change, live connections too; changes nothing.',
    query: fileQuerySchema,
    body,
    answer: { type: jsonType, description: 'What would change.', schema: diffAnswerSchema },
    answerTo: async (api, asked) => withText(await api.diff(asked.body, fileOf(asked.query))),
  },
];
