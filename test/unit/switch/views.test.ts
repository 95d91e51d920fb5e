// switch/views.test.ts — what is counted in the region's memory, as the control API shows it.

import { describe, expect, it } from 'vitest';
import { DatapathCounters } from '../../../src/datapath/counters.ts';
import { flowStats, limits } from '../../../src/datapath/layout.ts';
import { dropReason, dropReasonTexts } from '../../../src/flow/drop-reasons.ts';
import { parseKey } from '../../../src/flow/key-text.ts';
import { parseConfig } from '../../../src/model/config.ts';
import { parseDocument } from '../../../src/model/parse.ts';
import { Translation, translate } from '../../../src/pipeline/translate.ts';
import { compile } from '../../../src/rules/compile.ts';
import { Numbering } from '../../../src/rules/numbering.ts';
import { monotonicMs } from '../../../src/slowpath/slow-path.ts';
import { namesOf } from '../../../src/switch/names.ts';
import { Runtime } from '../../../src/switch/runtime.ts';
import { dropViews, flowViews, topView } from '../../../src/switch/views.ts';
import { FakeNative } from './fake-native.ts';

const document = parseDocument(`
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }]
networks: [{ name: blue, vni: 100 }]
ports:
  - { name: web, network: blue, mac: "02:00:00:00:00:01", host: h1, device: p1 }
  - { name: db, network: blue, mac: "02:00:00:00:00:02", host: h1, device: p2 }
`);
const key = 'in_port=web,eth_src=02:00:00:00:00:01,eth_dst=02:00:00:00:00:02,eth_type=0x0800';

const addon = {
  portCounters: () => ['rx_packets', 'rx_bytes'].map((name) => ({ name, help: '' })),
  workerCounters: () => [{ name: 'breaths', help: '' }],
};

async function world() {
  const native = new FakeNative();
  const numbering = new Numbering();
  const names = namesOf(numbering, 'h1', () => document.ports);
  const runtime = new Runtime({
    native,
    config: parseConfig('{ host: h1 }'),
    uplinkNumber: (device) => numbering.number('devices', device),
    log: () => undefined,
    onPorts: () => undefined,
    onEvents: () => undefined,
  });
  await runtime.take(compile(document, { host: 'h1', numbering }), 1);
  runtime.close();
  const [worker] = native.region.workers;
  if (worker === undefined) throw new Error('the region has one worker');
  return {
    native,
    numbering,
    names,
    runtime,
    worker,
    counters: new DatapathCounters(native, addon),
  };
}

describe('views', () => {
  it('show a flow with its match, actions, counters and the rules behind it', async () => {
    const { runtime, names, counters, worker } = await world();
    expect(flowViews(runtime, names, counters)).toEqual([]);
    const { pipeline, flows } = runtime.slowPath;
    const verdict = new Translation();
    translate(pipeline, parseKey(key, names), 0, verdict);
    const slot = flows.add(verdict, monotonicMs() - 3000);
    const cell = (slot * flowStats.size) / 4;
    worker.stats[cell + flowStats.packets / 4] = 5;
    worker.stats[cell + flowStats.bytes / 4] = 500;
    const [flow, ...more] = flowViews(runtime, names, counters);
    expect(more).toEqual([]);
    expect(flow).toMatchObject({
      id: slot,
      match: expect.stringContaining('in_port=web,'),
      actions: 'output(db)',
      packets: 5,
      bytes: 500,
      idleSeconds: null,
    });
    expect(flow?.ageSeconds).toBeGreaterThanOrEqual(3);
    expect(flow?.ageSeconds).toBeLessThan(30);
    expect(flow?.decision).toContain('l2/blue/port/db');
    worker.stats[cell + flowStats.usedMs / 4] = monotonicMs() - 1000;
    expect(flowViews(runtime, names, counters)[0]?.idleSeconds).toBeCloseTo(1, 0);
  });

  it('show every drop reason, with the ports that it happened at', async () => {
    const { runtime, names, counters, worker, numbering } = await world();
    const drop = (port: number, packets: number) => {
      worker.drops[2 * (port * limits.dropReasonMax + dropReason.SpoofedIp)] = packets;
    };
    drop(numbering.find('devices', 'p1') ?? 0, 4);
    drop(0, 2);
    drop(77, 1);
    const drops = dropViews(runtime, names, counters);
    expect(drops).toHaveLength(dropReasonTexts.length - 1);
    const [spoofed, ...others] = drops.filter(({ packets }) => packets > 0);
    expect(others).toEqual([]);
    expect(spoofed).toMatchObject({ reason: 'spoofed_ip', packets: 7 });
    expect(spoofed?.ports).toEqual([
      { port: '(none)', packets: 2 },
      { port: 'web', packets: 4 },
      { port: '77', packets: 1 },
    ]);
  });

  it('show ports and workers with all their counters, and what the slow path did', async () => {
    const { native, runtime, names, counters, worker, numbering } = await world();
    const number = numbering.find('devices', 'p1') ?? 0;
    worker.ports[2 * number * limits.portCounterMax] = 11;
    worker.counters[0] = 3;
    native.addPort({ number: 9, name: 'u1', device: 'u1', kind: 'auto', uplink: true });
    const top = topView(runtime, names, counters);
    expect(top.ports).toMatchObject([
      { port: 'web', device: 'p1', uplink: false, counters: { rx_packets: 11, rx_bytes: 0 } },
      { port: 'db', device: 'p2', uplink: false },
      { port: 'u1', device: 'u1', uplink: true },
    ]);
    expect(top.workers).toEqual([{ worker: 0, counters: { breaths: 3 } }]);
    expect(top.slowPath).toMatchObject({ upcalls: 0, flowsInstalled: 0, flowsRemoved: 0 });
  });
});
