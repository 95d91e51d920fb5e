// control/app.test.ts — requests that are wrong, too large, or meet a bug.

import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bodyBytesMax } from '../../../src/control/app.ts';
import { documentText, type Served, serveFake } from './fake-switch.ts';

let served: Served;
beforeAll(async () => {
  served = await serveFake();
});
afterAll(() => served.close());

interface Answer {
  status: number;
  type: string;
  body: string;
}

function ask(method: string, path: string, body?: string, headers = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { socketPath: served.socket, method, path, headers, agent: false };
    const asking = request(options, async (answer) => {
      const { statusCode = 0, headers: got } = answer;
      resolve({ status: statusCode, type: got['content-type'] ?? '', body: await text(answer) });
    });
    asking.on('error', reject);
    asking.end(body);
  });
}

async function codeOf(...request: Parameters<typeof ask>) {
  const { status, body } = await ask(...request);
  return [status, JSON.parse(body).code];
}

describe('the application', () => {
  it('answers JSON, whatever the type of the request body', async () => {
    const plain = await ask('PUT', '/v1/document?file=a.yaml', documentText, {
      'content-type': 'application/yaml',
    });
    expect([plain.status, plain.type.split(';')[0]]).toEqual([200, 'application/json']);
    expect(JSON.parse(plain.body).text).toContain('+ host h1');
    const none = await ask('POST', '/v1/diff', documentText);
    expect(JSON.parse(none.body).changes).toEqual([]);
    expect(served.api.files).toEqual(['a.yaml', 'document']);
  });

  it('refuses a wrong document with all its problems and their lines', async () => {
    const { status, body } = await ask('PUT', '/v1/document?file=net.yaml', 'hosts:\n  - 7\n');
    expect(status).toBe(422);
    expect(JSON.parse(body)).toMatchObject({
      code: 'ERR_DOCUMENT_INVALID',
      problems: [{ file: 'net.yaml', line: 2 }],
    });
  });

  it.each([
    ['GET', '/v1/nothing', 404, 'ERR_NOT_FOUND'],
    ['DELETE', '/v1/document', 404, 'ERR_NOT_FOUND'],
    ['GET', '/v1/objects/prots', 400, 'ERR_ARGUMENT_INVALID'],
    ['GET', '/v1/objects/ports/zz', 404, 'ERR_NOT_FOUND'],
    ['GET', '/v1/capture?count=many', 400, 'ERR_ARGUMENT_INVALID'],
    ['GET', '/v1/capture?prot=c1', 400, 'ERR_ARGUMENT_INVALID'],
    ['GET', '/v1/capture?port=nosuch', 404, 'ERR_PORT_NOT_FOUND'],
    ['GET', '/v1/objects/%zz', 400, 'ERR_ARGUMENT_INVALID'],
  ])('answers %s %s with %d %s', async (method, path, status, code) => {
    expect(await codeOf(method, path)).toEqual([status, code]);
  });

  it.each(['', 'no JSON', '[]', '{"key": 7}'])('refuses %j as a trace', async (body) => {
    expect(await codeOf('POST', '/v1/trace', body)).toEqual([400, 'ERR_ARGUMENT_INVALID']);
  });

  it('refuses a body that is too large', async () => {
    const body = 'x'.repeat(bodyBytesMax + 1);
    expect(await codeOf('PUT', '/v1/document', body)).toEqual([413, 'ERR_LIMIT']);
  });

  it('logs a bug of ours, and tells the caller nothing of it', async () => {
    served.api.failure = new TypeError('secret is undefined');
    const { status, body } = await ask('GET', '/v1/status');
    served.api.failure = undefined;
    expect([status, JSON.parse(body).code]).toEqual([500, 'ERR_INTERNAL']);
    expect(body).not.toContain('secret');
    expect(served.log.join('')).toContain('secret is undefined');
  });

  it('describes itself', async () => {
    const { body } = await ask('GET', '/v1/openapi.json');
    expect(JSON.parse(body).paths['/v1/objects/{kind}/{name}'].get).toBeDefined();
  });
});
