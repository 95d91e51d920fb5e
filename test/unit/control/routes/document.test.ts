// control/routes/document.test.ts — apply and diff pass the text on as it came.

import { describe, expect, it } from 'vitest';
import { documentRoutes } from '../../../../src/control/routes/document.ts';
import { documentText, FakeSwitch } from '../fake-switch.ts';

function route(name: string) {
  const found = documentRoutes.find((one) => one.name === name);
  if (found === undefined) throw new Error(name);
  return found;
}

describe('the routes of the document', () => {
  it('apply, and tell the changes as data and as text', async () => {
    const api = new FakeSwitch();
    const asked = { params: {}, query: { file: 'net.yaml' }, body: documentText };
    const answer = await route('applyDocument').answerTo(api, asked);
    expect(answer).toMatchObject({ revision: 2, text: expect.stringContaining('+ network blue') });
    expect(api.files).toEqual(['net.yaml']);
    const query = { file: 'net.yaml', existing: 'drain', drainSeconds: 5 };
    await route('applyDocument').answerTo(api, { ...asked, query });
    expect(api.options).toEqual([{}, { existing: 'drain', drainSeconds: 5 }]);
    expect(route('getDocument').answerTo(api, asked)).toMatchObject({ revision: 3 });
  });

  it('compare without changing anything', async () => {
    const api = new FakeSwitch();
    const asked = { params: {}, query: {}, body: documentText };
    const answer = await route('diffDocument').answerTo(api, asked);
    expect(answer).toMatchObject({ text: expect.stringContaining('+ port c1') });
    expect(api.revision).toBe(1);
    expect(api.files).toEqual(['document']);
  });
});
