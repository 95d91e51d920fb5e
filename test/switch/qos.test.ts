// switch/qos.test.ts — rate limits with the real token buckets: what passes, what is dropped.

import { afterEach, expect, test } from 'vitest';
import { parseDocument } from '../../src/model/parse.ts';
import { ModelSwitch } from '../support/model-switch.ts';
import { packet } from '../support/packet.ts';

const open: ModelSwitch[] = [];

afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

const mac = (last: number) => `02:00:00:00:00:0${last}`;
const frameBytes = 1442;
/** Of a rate so low that the bucket does not fill while the test runs. */
const burstPackets = Math.floor((128 * 1024) / frameBytes);

function model(qos: string): ModelSwitch {
  const one = new ModelSwitch(
    parseDocument(`
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }]
networks: [{ name: blue, vni: 100 }]
ports:
  - { name: c1, network: blue, mac: "${mac(1)}", ips: [10.0.0.1], host: h1, device: c1,
      qos: ${qos} }
  - { name: c2, network: blue, mac: "${mac(2)}", ips: [10.0.0.2], host: h1, device: c2 }
  - { name: c3, network: blue, mac: "${mac(3)}", ips: [10.0.0.3], host: h1, device: c3 }
`),
  );
  open.push(one);
  return one;
}

const udp = (from: number, to: number) =>
  packet()
    .eth({ src: mac(from), dst: mac(to) })
    .ip({ src: `10.0.0.${from}`, dst: `10.0.0.${to}` })
    .udp({ src: 1000, dst: 2000 })
    .raw(new Uint8Array(frameBytes - 42))
    .build();

function passed(one: ModelSwitch, from: number, to: number, count: number): number {
  let arrived = 0;
  for (let number = 0; number < count; number += 1) {
    arrived += one.send(`c${from}`, udp(from, to)).length;
  }
  return arrived;
}

test.each([
  ['egress', 1, 2],
  ['ingress', 2, 1],
] as const)(
  '%s: the burst passes, the rest is dropped by name, the other way is free',
  (direction, from, to) => {
    const one = model(`{ ${direction}: 8kbit }`);
    const arrived = passed(one, from, to, 2 * burstPackets);
    expect(arrived).toBeGreaterThanOrEqual(burstPackets);
    expect(arrived).toBeLessThanOrEqual(burstPackets + 3);
    expect(one.drops()).toEqual({ meter_exceeded: 2 * burstPackets - arrived });
    expect(passed(one, to, from, 2 * burstPackets)).toBe(2 * burstPackets);
  },
);

const flood = (from: number) =>
  packet()
    .eth({ src: mac(from), dst: 'ff:ff:ff:ff:ff:ff' })
    .ip({ src: `10.0.0.${from}`, dst: '10.0.0.255' })
    .udp({ src: 1000, dst: 2000 })
    .raw(new Uint8Array(frameBytes - 42))
    .build();

/** How many copies of broadcasts from a port arrive at each of the others. */
function flooded(one: ModelSwitch, from: number, count: number): Record<string, number> {
  const arrived: Record<string, number> = {};
  for (let number = 0; number < count; number += 1) {
    for (const { port } of one.send(`c${from}`, flood(from))) {
      arrived[port] = (arrived[port] ?? 0) + 1;
    }
  }
  return arrived;
}

const between = (count: number | undefined, least: number, most: number) => {
  expect(count).toBeGreaterThanOrEqual(least);
  expect(count).toBeLessThanOrEqual(most);
};

test('a flood of broadcasts is held by what its sender may send, each packet once', () => {
  const one = model('{ egress: 8kbit }');
  const { c2, c3 } = flooded(one, 1, 2 * burstPackets);
  between(c2, burstPackets, burstPackets + 3);
  expect(c3).toBe(c2);
  expect(one.drops()).toEqual({ meter_exceeded: 2 * burstPackets - (c2 ?? 0) });
});

test('a flood of broadcasts is held by what each receiver may be sent', () => {
  const one = model('{ ingress: 8kbit }');
  // What is for it alone and what is for all come out of the same bucket.
  const alone = Math.floor(burstPackets / 2);
  expect(passed(one, 2, 1, alone)).toBe(alone);
  const { c1 = 0, c3 } = flooded(one, 2, 2 * burstPackets);
  between(c1 + alone, burstPackets, burstPackets + 3);
  expect(c3).toBe(2 * burstPackets);
  expect(one.drops()).toEqual({ meter_exceeded: 2 * burstPackets - c1 });
  expect(passed(one, 2, 1, 3)).toBeLessThan(3);
});
