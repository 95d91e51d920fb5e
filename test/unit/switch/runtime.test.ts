// switch/runtime.test.ts — the order of things on one data path, and its event loop.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SwitchError } from '../../../src/lib/errors.ts';
import { parseConfig } from '../../../src/model/config.ts';
import { parseDocument } from '../../../src/model/parse.ts';
import { compile } from '../../../src/rules/compile.ts';
import { Numbering } from '../../../src/rules/numbering.ts';
import { Runtime } from '../../../src/switch/runtime.ts';
import { FakeNative } from './fake-native.ts';

const config = parseConfig('{ host: h1, tunnel: { device: u1 } }');

/** A compiled document with these ports on h1, one on h2. */
function compiled(numbering: Numbering, ...ports: string[]) {
  const lines = ports.map((name, index) => {
    const mac = `02:00:00:00:00:1${index}`;
    return `  - { name: ${name}, network: blue, mac: "${mac}", host: h1, device: ${name} }`;
  });
  const document = parseDocument(`
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }, { name: h2, tunnelIp: 172.31.1.2 }]
networks: [{ name: blue, vni: 100 }]
ports:
  - { name: far, network: blue, mac: "02:00:00:00:00:99", host: h2, device: p9 }
${lines.join('\n')}
`);
  return compile(document, { host: 'h1', numbering, uplinkDevice: 'u1' });
}

let native: FakeNative;
let numbering: Numbering;
let runtime: Runtime;
let told: string[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  native = new FakeNative();
  numbering = new Numbering();
  told = [];
  runtime = new Runtime({
    native,
    config,
    uplinkNumber: (device) => numbering.number('devices', device),
    log: (message) => told.push(message),
    onPorts: () => told.push('ports'),
    onEvents: () => told.push('events'),
  });
});
afterEach(() => {
  runtime.close();
  vi.useRealTimers();
});

describe('a runtime', () => {
  it('fills the data path, takes over its flows, and knows its process', async () => {
    await runtime.take(compiled(numbering, 'a', 'b'), 1);
    expect(native.listPorts().map(({ name }) => name)).toEqual(['u1', 'a', 'b']);
    expect(native.listTunnels()).toMatchObject([{ remote: '172.31.1.2' }]);
    expect(runtime.reconciled).toEqual({ kept: 0, replaced: 0, removed: 0, expired: 0 });
    expect(runtime.datapathPid).toBe(4711);
  });

  it('adds before it removes, and touches nothing when nothing changed', async () => {
    await runtime.take(compiled(numbering, 'a'), 1);
    native.take();
    await runtime.change(compiled(numbering, 'b'), 1);
    const calls = native.take();
    const [added, removed] = ['addPort', 'removePort'].map((name) =>
      calls.findIndex((call) => call.startsWith(name)),
    );
    expect(added).toBeGreaterThanOrEqual(0);
    expect(removed).toBeGreaterThan(added ?? 0);
    await runtime.change(compiled(numbering, 'b'), 1);
    expect(native.take()).toEqual([]);
  });

  it('tries ports that wait once a second, and tells when one has come', async () => {
    native.missing.set('a', 'ERR_DEVICE_NOT_FOUND');
    await runtime.take(compiled(numbering, 'a'), 1);
    expect(runtime.installer.waiting).toMatchObject([{ device: 'a' }]);
    vi.advanceTimersByTime(3000);
    expect(told.filter((what) => what !== 'events')).toEqual([]);
    native.missing.clear();
    vi.advanceTimersByTime(1000);
    expect(told.filter((what) => what !== 'events')).toEqual(['ports']);
    expect(runtime.installer.waiting).toEqual([]);
  });

  it('notices within seconds that a device went and came back', async () => {
    await runtime.take(compiled(numbering, 'a'), 1);
    const number = numbering.find('devices', 'a') ?? 0;
    native.vanish(number);
    vi.advanceTimersByTime(5000);
    expect(told.filter((what) => what !== 'events')).toEqual(['ports']);
    expect(native.ports.get(number)?.status.ifindex).toBeGreaterThan(0);
  });

  it('looks for work when it begins to listen, and at every doorbell', async () => {
    await runtime.take(compiled(numbering, 'a'), 1);
    runtime.listen();
    expect(told).toEqual(['events']);
    native.wake();
    expect(told).toEqual(['events', 'events']);
  });

  it('leaves the death of the data path to its own event, and throws what is a bug', async () => {
    await runtime.take(compiled(numbering, 'a'), 1);
    runtime.listen();
    native.showPad();
    native.giveVerdicts = () => {
      throw new SwitchError('ERR_DATAPATH_CLOSED', 'gone');
    };
    expect(() => native.wake()).not.toThrow();
    native.giveVerdicts = () => {
      throw new Error('a bug');
    };
    expect(() => native.wake()).toThrow('a bug');
  });

  it('is silent after close(), which may be called twice', async () => {
    await runtime.take(compiled(numbering, 'a'), 1);
    runtime.listen();
    runtime.close();
    runtime.close();
    expect(native.closed).toBe(true);
    told = [];
    native.wake();
    vi.advanceTimersByTime(10_000);
    expect(told).toEqual([]);
  });
});
