// control/routes/state.test.ts — kinds by any word, one object or none.

import { describe, expect, it } from 'vitest';
import { stateRoutes } from '../../../../src/control/routes/state.ts';
import { documentText, FakeSwitch } from '../fake-switch.ts';

function ask(api: FakeSwitch, name: string, params: Record<string, string>, body = '') {
  const found = stateRoutes.find((one) => one.name === name);
  return found?.answerTo(api, { params, query: {}, body });
}

describe('the routes of the state', () => {
  it('take any word for a kind', async () => {
    const api = new FakeSwitch();
    await api.apply(documentText, 'net.yaml');
    for (const kind of ['ports', 'port', 'po']) {
      expect(ask(api, 'listObjects', { kind })).toHaveLength(2);
    }
    expect(ask(api, 'getObject', { kind: 'net', name: 'blue' })).toMatchObject({ name: 'blue' });
  });

  it('guess what a mistyped kind was meant to be', () => {
    expect(() => ask(new FakeSwitch(), 'listObjects', { kind: 'prots' })).toThrow(
      'there is no kind "prots" (did you mean "ports"?)',
    );
  });

  it('do not answer nothing for an object that does not exist', () => {
    class Forgetful extends FakeSwitch {
      override objects() {
        return [];
      }
    }
    expect(() => ask(new Forgetful(), 'getObject', { kind: 'ports', name: 'zz' })).toThrow('"zz"');
  });

  it('trace the key of the body', () => {
    const api = new FakeSwitch();
    ask(api, 'tracePacket', {}, '{"key":"in_port=c1"}');
    expect(api.traced).toEqual(['in_port=c1']);
  });
});
