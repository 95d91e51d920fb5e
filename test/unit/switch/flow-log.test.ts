// switch/flow-log.test.ts — lines in a file, datagrams at a collector, and trouble with either.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FlowLog, type FlowLogConfig } from '../../../src/switch/flow-log.ts';
import type { FlowRecord } from '../../../src/switch/flow-records.ts';
import { waitUntil } from '../../support/wait.ts';

const record: FlowRecord = {
  ...{ startMs: 1000, endMs: 2500, packets: 3, bytes: 300, verdict: 'allowed', reason: '' },
  ...{ rule: 'r', origin: 'o', path: 'p', revision: 1, port: 'c1', portNumber: 1, vni: 0 },
  ...{ family: 4, protocol: 6, source: '10.0.0.1', destination: '10.0.0.2' },
  ...{ sourcePort: 1, destinationPort: 2, reply: false, endReason: 'idle' },
};

let directory: string;
let logged: string[];
let open: FlowLog[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vtep-flows-'));
  logged = [];
  open = [];
});
afterEach(() => {
  for (const one of open) one.close();
  rmSync(directory, { recursive: true, force: true });
});

function flowLog(config: Partial<FlowLogConfig>): FlowLog {
  const whole = { fileMegabytes: 1, activeSeconds: 60, idleSeconds: 15, ...config };
  const log = new FlowLog({ config: whole, log: (message) => logged.push(message) });
  open.push(log);
  return log;
}

describe('a flow log', () => {
  it('writes lines of JSON into a file, and makes its folder', async () => {
    const file = join(directory, 'logs', 'flows.ndjson');
    const log = flowLog({ file });
    log.add(record);
    log.add({ ...record, verdict: 'denied', reason: 'acl_deny' });
    log.flush();
    await waitUntil(() => existsSync(file) && readFileSync(file, 'utf8').split('\n').length === 3, {
      what: 'two lines',
    });
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      ...{ start: '1970-01-01T00:00:01.000Z', end: '1970-01-01T00:00:02.500Z', packets: 3 },
      ...{ bytes: 300, verdict: 'allowed', reason: '', rule: 'r', origin: 'o', path: 'p' },
      ...{ revision: 1, port: 'c1', vni: 0, protocol: 6, source: '10.0.0.1' },
      ...{ destination: '10.0.0.2', sourcePort: 1, destinationPort: 2, reply: false },
      endReason: 'idle',
    });
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ verdict: 'denied', reason: 'acl_deny' });
    expect(log.counts).toEqual({ written: 2, lost: 0 });
  });

  it('begins a new file when one has grown too large', async () => {
    const file = join(directory, 'flows.ndjson');
    writeFileSync(file, `${'x'.repeat((1 << 20) + 1)}\n`);
    const log = flowLog({ file });
    log.add(record);
    log.flush();
    await waitUntil(() => readFileSync(file, 'utf8').includes('10.0.0.1'), { what: 'the line' });
    log.add(record);
    log.flush();
    await waitUntil(() => existsSync(`${file}.1`) && existsSync(file), { what: 'the new file' });
    expect(readFileSync(`${file}.1`).length).toBeGreaterThan(1 << 20);
    await waitUntil(() => readFileSync(file, 'utf8').endsWith('\n'), { what: 'the second line' });
    expect(logged).toEqual([]);
  });

  it('says once that its file cannot be written, counts what is lost, and goes on', async () => {
    const file = join(directory, 'folder');
    writeFileSync(file, 'not a folder');
    const log = flowLog({ file: join(file, 'flows.ndjson') });
    for (let turn = 0; turn < 3; turn += 1) {
      log.add(record);
      log.flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(logged).toEqual([`cannot write the flow log ${join(file, 'flows.ndjson')}`]);
    expect(log.counts).toEqual({ written: 3, lost: 3 });
  });

  it('sends templates and records to a collector', async () => {
    const collector = createSocket('udp4');
    collector.bind(0, '127.0.0.1');
    await once(collector, 'listening');
    try {
      const log = flowLog({
        ipfix: { collector: `127.0.0.1:${collector.address().port}`, domain: 5 },
      });
      const arrived = once(collector, 'message');
      log.add(record);
      log.flush();
      const [message] = (await arrived) as [Buffer];
      expect(message.readUInt16BE(0)).toBe(10);
      expect(message.readUInt32BE(12)).toBe(5);
      // The set of templates comes first, then one record.
      expect(message.readUInt16BE(16)).toBe(2);
      const next = once(collector, 'message');
      log.add(record);
      log.flush();
      const [second] = (await next) as [Buffer];
      expect(second.readUInt32BE(8)).toBe(1);
      expect(second.readUInt16BE(16)).toBe(256);
    } finally {
      collector.close();
    }
  });
});
