// switch/drops.test.ts — the drops that no ordinary packet meets: full, gone, slow, exhausted.
//
// Together with the other files of this folder every reason of base/drop_reasons.def is provoked
// from outside, but for those of `notHere`, each with the reason why and the test that has it
// instead; the last test keeps this list honest. Routes have no rules yet: no_route is a verdict
// that datapath.test.ts gives by hand.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { regionMemory } from '../../src/datapath/memory.ts';
import { CommandWriter } from '../../src/datapath/rings.ts';
import { action } from '../../src/flow/actions.ts';
import { dropReasonTexts } from '../../src/flow/drop-reasons.ts';
import { parseIp } from '../../src/lib/addresses.ts';
import { type ModelOptions, ModelSwitch, uplink } from '../support/model-switch.ts';
import { eth } from '../support/packet.ts';
import { UpcallReader } from '../support/upcall-reader.ts';

const open: ModelSwitch[] = [];

afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

/** Six ports on this host, one on another; c7 is alone in its network. */
function model(options: ModelOptions = {}): ModelSwitch {
  const port = (last: number, network: string, host: string) =>
    `  - { name: c${last}, network: ${network}, mac: "02:00:00:00:00:0${last}",
      ips: [10.0.0.${last}], host: ${host}, device: p${last} }`;
  const document = `
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }, { name: h2, tunnelIp: 172.31.1.2 }]
networks: [{ name: blue, vni: 100 }, { name: lonely, vni: 200 }]
ports:
${[1, 3, 4, 5, 6, 8].map((last) => port(last, 'blue', 'h1')).join('\n')}
${port(2, 'blue', 'h2')}
${port(7, 'lonely', 'h1')}
`;
  const one = new ModelSwitch(document, options);
  open.push(one);
  return one;
}

const mac = (last: number) => `02:00:00:00:00:0${last}`;
const frameFrom = (last: number, dst: number, bytes = 20, srcPort = 1024) =>
  eth({ src: mac(last), dst: mac(dst) })
    .ip({ src: `10.0.0.${last}`, dst: `10.0.0.${dst}` })
    .udp({ src: srcPort })
    .payload(bytes)
    .build();

/** Frames of so many senders that are not the port's. */
const spoofed = (count: number) =>
  Array.from({ length: count }, (_, number) =>
    eth({ src: `02:00:00:77:${hex(number >> 8)}:${hex(number & 0xff)}`, dst: mac(3) })
      .ip()
      .build(),
  );
const hex = (byte: number) => byte.toString(16).padStart(2, '0');

describe('the way to the slow path', () => {
  test('one new flow has so many packets waiting, and no more: upcall_pending', () => {
    const one = model();
    for (let sent = 0; sent < 300; sent += 1) one.inject('p1', frameFrom(1, 3));
    while (one.datapath.runOnce(0));
    // The first, and 256 that follow it (followers_per_key_max in limits.h).
    expect(one.drops()).toEqual({ upcall_pending: 43 });
    one.settle();
    expect(one.drops()).toEqual({ upcall_pending: 43 });
    expect(one.collect().length).toBe(300 - 43);
    expect(one.worker().followers).toBe(256);
  });

  test('a ring that ports fill together is full for all: upcall_ring_full', () => {
    const one = model({ upcallRingBytes: 65536 });
    for (const last of [1, 3, 4, 5, 6, 8]) one.inject(`p${last}`, frameFrom(last, 2, 14_000));
    while (one.datapath.runOnce(0));
    expect(one.drops()).toEqual({ upcall_ring_full: 2 });
    one.settle();
    expect(one.drops()).toEqual({ upcall_ring_full: 2 });
    expect(one.collect().length).toBeGreaterThan(4);
    expect(one.fate('p1', frameFrom(1, 3))).toBe('p3');
  });

  test('one port does not fill the ring: upcall_port_limit', () => {
    const one = model({ upcallRingBytes: 65536 });
    for (let port = 1; port <= 200; port += 1) one.inject('p1', frameFrom(1, 3, 600, port));
    one.inject('p4', frameFrom(4, 3));
    while (one.datapath.runOnce(0));
    expect(Object.keys(one.drops())).toEqual(['upcall_port_limit']);
    one.settle();
    // Another port was heard all the same.
    expect(one.collect().some(({ frame }) => frame[11] === 4)).toBe(true);
  });

  test('a port whose questions are all denied is not heard for a moment: upcall_scan', () => {
    const one = model();
    const frames = spoofed(8 * 1110);
    // The moment is 100 ms, and the machine may be away for longer than that: another scan, then.
    while (one.drops().upcall_scan === undefined && frames.length > 0) {
      one.sendAll('p1', frames.splice(0, 1100));
      one.sendAll('p1', frames.splice(0, 10));
    }
    expect(one.drops().upcall_scan).toBeGreaterThan(0);
    expect(one.fate('p4', frameFrom(4, 3))).toBe('p3');
  });

  test('a packet that is longer than a record may be is named: upcall_too_long', () => {
    const one = model({ upcallRingBytes: 65536 });
    expect(one.fate('p1', frameFrom(1, 3, 30_000))).toBe('upcall_too_long');
    expect(one.fate('p1', frameFrom(1, 3))).toBe('p3');
    expect(one.fate('p1', frameFrom(1, 3, 30_000))).toBe('p3');
  });

  test('a slow path that fails on a packet loses that packet alone: slow_path_error', () => {
    const one = model();
    const [table] = one.slowPath.pipeline.tables;
    const lookup = table!.lookup;
    table!.lookup = () => {
      throw new Error('out of order');
    };
    expect(one.fate('p1', frameFrom(1, 3))).toBe('slow_path_error');
    expect(one.logged).toEqual([expect.stringContaining('out of order')]);
    table!.lookup = lookup;
    expect(one.fate('p1', frameFrom(1, 3))).toBe('p3');
  });

  test('a record that comes back without a verdict is a drop: no_verdict', () => {
    const one = model();
    one.inject('p1', frameFrom(1, 3));
    while (one.datapath.runOnce(0));
    const memory = regionMemory(one.datapath.memory).workers[0]!;
    const reader = new UpcallReader(one.datapath, 0, memory);
    reader.take();
    expect(reader.next()).toBe(true);
    reader.give();
    while (one.datapath.runOnce(0));
    expect(one.drops()).toEqual({ no_verdict: 1 });
  });

  test('with a full flow table packets still pass, each by a verdict of its own', () => {
    const one = model({ flowMax: 64 });
    // One port leaves a third to others, the next one a third of that.
    one.sendAll('p1', spoofed(200));
    expect(one.flows()).toHaveLength(42);
    for (const port of ['p3', 'p4', 'p5']) one.sendAll(port, spoofed(200));
    expect(one.flows()).toHaveLength(63);
    expect(one.drops()).toEqual({ spoofed_mac: 800 });
    expect(one.fate('p6', frameFrom(6, 3))).toBe('p3');
    expect(one.fate('p6', frameFrom(6, 2))).toBe(uplink);
    expect(one.slowPath.counts.once).toBe(2);
  });
});

describe('questions that the data path answers itself', () => {
  const request = (last: number, dst: number) =>
    eth({ src: mac(last), dst: 'ff:ff:ff:ff:ff:ff' })
      .arp({ senderMac: mac(last), senderIp: `10.0.0.${last}`, targetIp: `10.0.0.${dst}` })
      .build();

  test('a port gets no more of them than its part, others theirs: answer_limit', () => {
    const one = model();
    expect(one.fate('p1', request(1, 2))).toBe('p1');
    const flood = Array.from({ length: 2000 }, () => request(1, 2));
    const sent = one.sendAll('p1', flood).length;
    // The burst, and what was earned while it went on.
    expect(sent).toBeGreaterThanOrEqual(999);
    expect(sent).toBeLessThan(1900);
    expect(one.drops('p1')).toEqual({ answer_limit: 2000 - sent });
    expect(one.fate('p3', request(3, 2))).toBe('p3');
    expect(one.drops('p3')).toEqual({});
  });
});

describe('what a flow refers to and is gone', () => {
  test('the port: port_gone', () => {
    const one = model();
    expect(one.fate('p1', frameFrom(1, 3))).toBe('p3');
    one.datapath.removePort(one.number('devices', 'p3'));
    expect(one.fate('p1', frameFrom(1, 3))).toBe('port_gone');
  });

  test('the tunnel: tunnel_gone', () => {
    const one = model();
    expect(one.fate('p1', frameFrom(1, 2))).toBe(uplink);
    one.datapath.removeTunnel(one.number('tunnels', 'h2/vxlan'));
    expect(one.fate('p1', frameFrom(1, 2))).toBe('tunnel_gone');
  });

  test('all others of the network: group_empty', () => {
    const one = model();
    const frame = eth({ src: mac(7), dst: 'ff:ff:ff:ff:ff:ff' })
      .ip({ src: '10.0.0.7' })
      .udp();
    expect(one.fate('p7', frame.build())).toBe('group_empty');
  });
});

/** Runs a program of the slow path on a packet, as no rule does yet. */
function run(one: ModelSwitch, program: Uint32Array, frame: Uint8Array): string[] {
  const before = one.drops();
  const memory = regionMemory(one.datapath.memory).workers[0]!;
  const writer = new CommandWriter(one.datapath, 0, memory);
  writer.packetOut(one.number('devices', 'p1'), program, program.length, frame);
  writer.give();
  while (one.datapath.runOnce(0));
  const out = one.collect().map(({ port }) => port);
  const reasons = Object.entries(one.drops()).filter(([name, count]) => count !== before[name]);
  return [...out, ...reasons.map(([name]) => name)];
}

describe('actions that no rule of today has', () => {
  const frame = (ttl = 64) =>
    eth({ src: mac(1), dst: mac(3) })
      .ip({ ttl })
      .udp()
      .build();
  const output = (one: ModelSwitch) => action.output(one.number('devices', 'p3'));
  const join = (...programs: Uint32Array[]) => Uint32Array.from(programs.flatMap((p) => [...p]));

  test('a program without an output: no_output', () => {
    expect(run(model(), action.decTtl(parseIp('10.0.0.254')), frame())).toEqual(['no_output']);
  });

  test('a TTL that is used up is told to the sender: ttl_exceeded', () => {
    const one = model();
    const program = join(action.decTtl(parseIp('10.0.0.254')), output(one));
    expect(run(one, program, frame(2))).toEqual(['p3']);
    expect(run(one, program, frame(1))).toEqual(['p1', 'ttl_exceeded']);
  });

  test('more than a meter lets pass: meter_exceeded', () => {
    const one = model();
    one.datapath.setMeter(1, { rate: 1, burst: 2, packets: true });
    const program = join(action.meter(1), output(one));
    const fates = [1, 2, 3].map(() => run(one, program, frame()).join(' '));
    expect(fates).toEqual(['p3', 'p3', 'meter_exceeded']);
  });
});

describe('frames and segments', () => {
  test('more large packets at once than there are frames: no_frames', () => {
    const one = model({ largeFrames: 16 });
    one.send('p1', frameFrom(1, 3));
    const burst = Array.from({ length: 40 }, () => frameFrom(1, 3, 9000));
    const sent = one.sendAll('p1', burst);
    expect(one.drops()).toEqual({ no_frames: 40 - sent.length });
    expect(sent.length).toBeGreaterThanOrEqual(8);
    // None has leaked: the next ones pass.
    for (let time = 0; time < 20; time += 1) {
      expect(one.fate('p1', frameFrom(1, 3, 9000))).toBe('p3');
    }
  });

  test('a superpacket of more segments than anybody cuts: bad_segmentation', () => {
    const one = model();
    const frame = eth({ src: mac(1), dst: mac(2) })
      .ip()
      .tcp()
      .payload(9000)
      .build();
    const offload = {
      gsoType: 1,
      gsoSize: 1,
      needsChecksum: true,
      checksumStart: 34,
      checksumOffset: 16,
    };
    expect(one.fate('p1', frame, offload)).toBe('bad_segmentation');
  });
});

/** Reasons that nothing outside makes here: why, and a test that has them. */
const notHere: Record<string, { why: string; test: string }> = {
  too_long: {
    why: 'only devices hand over more than a frame holds',
    test: 'native/vnet_frame_test.cpp',
  },
  flow_table_full: {
    why: 'only programs too long for a single verdict end so',
    test: 'unit/slowpath/answer.test.ts',
  },
  no_headroom: { why: 'frames leave room for every header', test: 'native/rewrite_test.cpp' },
  tx_full: { why: 'a matter of devices', test: 'native/port_af_xdp_test.cpp' },
  tx_error: { why: 'a matter of devices', test: 'native/port_tap_test.cpp' },
  tx_too_long: { why: 'a matter of devices', test: 'native/port_af_packet_test.cpp' },
  port_down: { why: 'documents give every local port a device', test: 'unit/rules/l2.test.ts' },
  translate_limit: { why: 'rules never go back a stage', test: 'unit/pipeline/translate.test.ts' },
};

test('every other reason is asserted by name in this folder, and these are somewhere else', () => {
  const texts = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8').split('const notHere')[0])
    .join('\n');
  const missing = dropReasonTexts
    .map(({ name }) => name)
    .filter((name) => name !== 'none' && !new RegExp(`\\b${name}\\b`).test(texts));
  expect(missing.sort()).toEqual(Object.keys(notHere).sort());
  for (const [name, { test: file }] of Object.entries(notHere)) {
    const camel = name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const text = readFileSync(join(import.meta.dirname, '..', file), 'utf8');
    expect(new RegExp(`\\b(${name}|${camel})\\b`).test(text), `${name} in ${file}`).toBe(true);
  }
});
