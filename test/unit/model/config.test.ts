// model/config.test.ts — the daemon's own file: defaults, and refusals with line and field.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { limits } from '../../../src/datapath/layout.ts';
import { renderProblem, SwitchError } from '../../../src/lib/errors.ts';
import { parseConfig, socketModeBits, splitListen } from '../../../src/model/config.ts';
import { readCases } from './wrong-cases.ts';

const table = join(import.meta.dirname, '../../fixtures/documents/wrong-configs.txt');

describe('wrong-configs.txt', () => {
  test.each(readCases(readFileSync(table, 'utf8')))(
    '$name is refused, and the message says where and why',
    ({ text, problems }) => {
      let error: unknown;
      try {
        parseConfig(text, 'vtepd.yaml');
      } catch (thrown) {
        error = thrown;
      }
      if (!(error instanceof SwitchError)) throw error ?? new Error('the text was accepted');
      expect(error.code).toBe('ERR_CONFIG_INVALID');
      expect(error.problems.map(renderProblem)).toEqual(problems);
    },
  );
});

describe('a configuration', () => {
  // The model knows no data path, so it has its own copy of these two.
  test('takes the timeouts that the data path takes, and no others', () => {
    const icmp = (ms: number) =>
      parseConfig(`{ host: h1, datapath: { timeouts: { icmp: ${ms / 1000} } } }`);
    for (const ms of [limits.timeoutMinMs, limits.timeoutMaxMs]) {
      expect(icmp(ms).datapath.timeouts.icmp * 1000).toBe(ms);
    }
    expect(() => icmp(limits.timeoutMinMs - 1000)).toThrow(SwitchError);
    expect(() => icmp(limits.timeoutMaxMs + 1000)).toThrow(SwitchError);
  });

  test('needs nothing but the name of the host', () => {
    expect(parseConfig('host: h1')).toEqual({
      host: 'h1',
      tunnel: { port: 4789, genevePort: 6081, mode: 'auto' },
      control: { socket: '/run/vtepd/control.sock', mode: '0660' },
      datapath: {
        socket: '/run/vtepd/datapath.sock',
        start: 'auto',
        workers: 1,
        flows: 65536,
        exactFlows: 65536,
        connections: 65536,
        tcpPickUp: 'always',
        timeouts: {
          tcp: {
            ...{ synSent: 120, synReceived: 60, established: 432_000, finWait: 120 },
            ...{ closeWait: 60, lastAck: 30, timeWait: 120, close: 10 },
          },
          udp: { unreplied: 30, stream: 120 },
          icmp: 30,
          other: 600,
        },
        smallFrames: 16384,
        largeFrames: 256,
        spinMicroseconds: 20,
      },
      state: '/var/lib/vtepd',
      log: { level: 'info' },
    });
  });

  test('takes what it is given', () => {
    const config = parseConfig(`
host: h1
tunnel: { device: eth0, port: 8472, mode: af_xdp_native }
control:
  socket: /run/x.sock
  group: vtep
  listen: "[fd00::1]:7443"
  tls: { cert: /c.pem, key: /k.pem, ca: /ca.pem }
datapath: { start: external, workers: 4, exactFlows: 1048576 }
state: /srv/state
log: { level: debug }
`);
    expect(config.tunnel).toEqual({
      device: 'eth0',
      port: 8472,
      genevePort: 6081,
      mode: 'af_xdp_native',
    });
    expect(config.control.tls).toEqual({ cert: '/c.pem', key: '/k.pem', ca: '/ca.pem' });
    expect(config.datapath).toMatchObject({ start: 'external', workers: 4, exactFlows: 1048576 });
  });

  test.each(['0660', '"0660"', '0o660', '660', '"660"'])(
    'means the same permissions by mode %s, however YAML reads it',
    (mode) => {
      const config = parseConfig(`host: h1\ncontrol: { mode: ${mode} }`);
      expect(config.control.mode).toBe('0660');
      expect(socketModeBits(config)).toBe(0o660);
    },
  );

  test('is read from JSON as well', () => {
    expect(parseConfig('{"host": "h1"}')).toEqual(parseConfig('host: h1'));
  });
});

describe('an address to listen at', () => {
  test.each([
    ['192.0.2.1:7443', { host: '192.0.2.1', port: 7443 }],
    ['0.0.0.0:1', { host: '0.0.0.0', port: 1 }],
    ['[::]:65535', { host: '::', port: 65535 }],
  ])('%s is split', (text, parts) => expect(splitListen(text)).toEqual(parts));

  test.each([
    '',
    ':7443',
    '192.0.2.1',
    '192.0.2.1:',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '::1:7443',
    '[192.0.2.1]:1',
    'localhost:7443',
    '[fd00::1]7443',
  ])('%j is none', (text) => expect(splitListen(text)).toBeUndefined());
});
