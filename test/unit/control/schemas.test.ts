// control/schemas.test.ts — what the switch answers fits the published schemas.

import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import * as schemas from '../../../src/control/schemas.ts';
import { documentText, FakeSwitch } from './fake-switch.ts';

describe('the schemas', () => {
  it('fit every answer', async () => {
    const api = new FakeSwitch();
    schemas.applyResultSchema.parse(await api.apply(documentText, 'net.yaml'));
    schemas.statusSchema.parse(api.status());
    schemas.documentAnswerSchema.parse(api.document());
    z.array(schemas.objectStatusSchema).parse(api.objects('ports'));
    z.array(schemas.flowSchema).parse(api.flows());
    schemas.traceSchema.parse(api.trace({ key: 'in_port=1' }));
    z.array(schemas.dropSchema).parse(api.drops());
    schemas.topSchema.parse(api.top());
    expect(Object.values(schemas.schemasAgree).every(Boolean)).toBe(true);
  });

  it('read numbers of a query from text, within limits', () => {
    expect(schemas.captureQuerySchema.parse({ count: '12' })).toEqual({ count: 12 });
    for (const count of ['0', '-1', '1.5', 'x', '1e12', '']) {
      expect(schemas.captureQuerySchema.safeParse({ count }).success).toBe(false);
    }
  });
});
