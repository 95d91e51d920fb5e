// lib/logger.test.ts — one line per event, and no secret in any of them.

import { describe, expect, test } from 'vitest';
import { SwitchError } from '../../../src/lib/errors.ts';
import { createLogger, type LogLevel } from '../../../src/lib/logger.ts';

function recorder(level?: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { lines, logger: createLogger({ name: 'vtepd', stream, ...(level && { level }) }) };
}

describe('the logger', () => {
  test('writes name, level as a word, ISO time, fields and message', () => {
    const { lines, logger } = recorder();
    logger.warn({ port: 'c1' }, 'the device is gone');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      name: 'vtepd',
      level: 'warn',
      port: 'c1',
      msg: 'the device is gone',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
  });

  test('leaves out what is below its level', () => {
    const { lines, logger } = recorder('error');
    logger.info('no');
    logger.error('yes');
    expect(lines.map((line) => line.msg)).toEqual(['yes']);
  });

  test('never writes keys, tokens, passwords or authorization, wherever they are', () => {
    const { lines, logger } = recorder('trace');
    const secret = 'hunter2';
    logger.info({ password: secret, tls: { key: secret, cert: '/a.pem' } }, 'config');
    logger.trace({ req: { headers: { authorization: secret, cookie: secret } } }, 'request');
    logger.info({ a: { b: { c: { token: secret } } } }, 'deep');
    expect(JSON.stringify(lines)).not.toContain(secret);
    expect(lines[0]).toMatchObject({ tls: { key: '[secret]', cert: '/a.pem' } });
  });

  test('writes code, remedy and problems of an error beside its stack', () => {
    const { lines, logger } = recorder();
    const problems = [{ path: 'host', message: 'found 1', expected: 'a name' }];
    logger.error({ err: new SwitchError('ERR_CONFIG_INVALID', 'refused', { problems }) }, 'start');
    expect(lines[0]?.err).toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: 'refused',
      problems,
      stack: expect.stringContaining('logger.test.ts'),
    });
  });
});
