// lib/errors.test.ts — codes are stable, and errors read as sentences.

import { describe, expect, test } from 'vitest';
import {
  errorCodes,
  isErrorCode,
  remedyOf,
  renderError,
  renderProblem,
  SwitchError,
  systemErrorCode,
} from '../../../src/lib/errors.ts';

describe('the catalogue', () => {
  test('has exactly these codes: scripts depend on them', () => {
    expect(Object.keys(errorCodes).sort()).toEqual([
      'ERR_ARGUMENT_INVALID',
      'ERR_BUSY',
      'ERR_CONFIG_INVALID',
      'ERR_DATAPATH_CLOSED',
      'ERR_DEVICE_BUSY',
      'ERR_DEVICE_NOT_FOUND',
      'ERR_DOCUMENT_INVALID',
      'ERR_INTERNAL',
      'ERR_LIMIT',
      'ERR_NOT_FOUND',
      'ERR_PERMISSION',
      'ERR_PORT_EXISTS',
      'ERR_PORT_NOT_FOUND',
      'ERR_PROTOCOL',
      'ERR_STATE_UNWRITABLE',
      'ERR_TIMEOUT',
      'ERR_UNSUPPORTED',
      'ERR_XDP_UNSUPPORTED',
    ]);
  });

  test('gives every code itself as value and a remedy that is a sentence', () => {
    for (const [name, code] of Object.entries(errorCodes)) {
      expect(code).toBe(name);
      expect(remedyOf(code)).toMatch(/^[A-Z].*\.$/);
    }
  });

  test('tells its codes from other text', () => {
    expect(isErrorCode('ERR_LIMIT')).toBe(true);
    for (const other of ['ENOENT', 'toString', '', undefined, 7])
      expect(isErrorCode(other)).toBe(false);
  });
});

describe('a SwitchError', () => {
  const cause = Object.assign(new Error('open failed'), { code: 'EACCES' });
  const error = new SwitchError('ERR_PERMISSION', 'cannot open /dev/net/tun', { cause });

  test('keeps its cause, and is an Error of its own name', () => {
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'SwitchError', code: 'ERR_PERMISSION', cause });
    expect(systemErrorCode(error.cause)).toBe('EACCES');
  });

  test('goes to a client as code, message, remedy and problems, without stack or cause', () => {
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: 'ERR_PERMISSION',
      message: 'cannot open /dev/net/tun',
      remedy: 'Run as root, or grant CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF.',
      problems: [],
    });
  });

  test('may know a better remedy than the catalogue', () => {
    expect(new SwitchError('ERR_BUSY', 'x', { remedy: 'Stop vtepd 1.' }).remedy).toBe(
      'Stop vtepd 1.',
    );
  });
});

describe('rendering', () => {
  test('names the thing, the cause, the code and the remedy', () => {
    const inner = new Error('device or resource busy', { cause: new Error('bind') });
    const error = new SwitchError('ERR_DEVICE_BUSY', 'cannot attach to "p1"', { cause: inner });
    expect(renderError(error)).toBe(
      'cannot attach to "p1": device or resource busy: bind (ERR_DEVICE_BUSY)\n' +
        'Stop the program that holds the device, or choose another one.',
    );
  });

  test('does not say a cause twice, and ends for causes that go in circles', () => {
    const error = new Error('outer: inner');
    error.cause = new Error('inner', { cause: error });
    expect(renderError(error)).toBe('outer: inner');
  });

  test('lists fifty problems and counts the rest', () => {
    const problems = Array.from({ length: 52 }, (_, index) => ({
      path: `ports[${index}]`,
      message: 'found 1',
      expected: 'a port',
    }));
    const lines = renderError(
      new SwitchError('ERR_DOCUMENT_INVALID', 'refused', { problems }),
    ).split('\n');
    expect(lines).toHaveLength(53);
    expect(lines[1]).toBe('  ports[0]: found 1; expected a port');
    expect(lines[51]).toBe('  and 2 more');
  });

  test.each([
    [{ file: 'a.yaml', line: 2, column: 3, path: 'x' }, 'a.yaml:2:3: x: m; expected e'],
    [{ file: 'a.yaml', path: 'x' }, 'a.yaml: x: m; expected e'],
    [{ line: 2, column: 3, path: 'x' }, 'line 2:3: x: m; expected e'],
    [{ path: 'x' }, 'x: m; expected e'],
    [{ file: 'a.yaml', path: '' }, 'a.yaml: m; expected e'],
  ])('places a problem by what is known: %j', (place, text) => {
    expect(renderProblem({ ...place, message: 'm', expected: 'e' })).toBe(text);
  });

  test('takes anything that was thrown', () => {
    expect(renderError('plain')).toBe('plain');
    expect(renderError(undefined)).toBe('undefined');
    expect(renderError(new TypeError())).toBe('TypeError');
  });
});
