// control/answers.test.ts — errors travel whole, and bugs show nothing of the inside.

import { describe, expect, it } from 'vitest';
import { answerableError, errorFromBody, httpStatus } from '../../../src/control/answers.ts';
import { type ErrorCode, errorCodes, SwitchError } from '../../../src/lib/errors.ts';

describe('errors', () => {
  it.each(Object.values(errorCodes))('%s arrives as it left', (code: ErrorCode) => {
    const problems = [{ path: 'ports[0]', message: 'wrong', expected: 'right', line: 3 }];
    const error = new SwitchError(code, 'what is wrong', { problems, remedy: 'do this' });
    const arrived = errorFromBody(JSON.parse(JSON.stringify(error)));
    expect(arrived).toEqual(error);
    expect(arrived?.toJSON()).toEqual(error.toJSON());
    expect(httpStatus(code)).toBeGreaterThanOrEqual(400);
  });

  it('of the addon keep their code', () => {
    const error = Object.assign(new Error('veth9: no such device'), {
      code: 'ERR_DEVICE_NOT_FOUND',
    });
    expect(answerableError(error)).toMatchObject({
      code: 'ERR_DEVICE_NOT_FOUND',
      message: 'veth9: no such device',
    });
  });

  it('that are bugs show nothing of the inside', () => {
    const answer = answerableError(new TypeError('secret is undefined'));
    expect(answer.code).toBe('ERR_INTERNAL');
    expect(JSON.stringify(answer)).not.toContain('secret');
  });

  it('of HTTP become ours', () => {
    const tooLarge = Object.assign(new Error('too large'), { statusCode: 413 });
    expect(answerableError(tooLarge).code).toBe('ERR_LIMIT');
    const bad = Object.assign(new Error('bad header'), { statusCode: 400 });
    expect(answerableError(bad).code).toBe('ERR_ARGUMENT_INVALID');
  });

  it.each([null, 'text', {}, { code: 'ERR_NONE', message: 'x' }, { code: 'ERR_LIMIT' }])(
    'are not made of %j',
    (body) => expect(errorFromBody(body)).toBeUndefined(),
  );
});
