// switch/timeouts.test.ts — idle times of connections, as the operator wants them.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { ModelSwitch } from '../support/model-switch.ts';
import { eth } from '../support/packet.ts';

const open: ModelSwitch[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.end();
});

const mac = (last: number) => `02:00:00:00:00:0${last}`;
const ip = (last: number) => `10.0.0.${last}`;
const port = (last: number, group: string) =>
  `  - { name: c${last}, network: blue, mac: "${mac(last)}", ips: [${ip(last)}], ` +
  `host: h1, device: c${last}, securityGroups: [${group}] }`;
const askers = `
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }]
networks: [{ name: blue, vni: 100 }]
securityGroups:
  - { name: asks, rules: [{ direction: egress }] }
  - { name: answers, rules: [{ direction: ingress }] }
ports:
${port(1, 'asks')}
${port(2, 'answers')}
`;
const seconds = (count: number) => count * 1000;
const defaults = {
  ...{ synSent: seconds(120), synReceived: seconds(60), established: seconds(432_000) },
  ...{ finWait: seconds(120), closeWait: seconds(60), lastAck: seconds(30) },
  ...{ timeWait: seconds(120), close: seconds(10), udpUnreplied: seconds(30) },
  ...{ udpStream: seconds(120), icmp: seconds(30), other: seconds(600) },
};

function datagram(from: 1 | 2, source: number): Uint8Array {
  const to = from === 1 ? 2 : 1;
  const [src, dst] = from === 1 ? [source, 53] : [53, source];
  return eth({ src: mac(from), dst: mac(to) })
    .ip({ src: ip(from), dst: ip(to) })
    .udp({ src, dst })
    .payload(20)
    .build();
}

/** Lets time pass for the worker, too, and does something every now and then. */
async function pass(one: ModelSwitch, ms: number, each: () => void = () => undefined) {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(100)) {
    each();
    one.settle();
  }
}

describe('the timeouts of connections', () => {
  test('end what is silent, and nothing that goes on, from when they are set', async () => {
    const one = new ModelSwitch(askers);
    open.push(one);
    for (const source of [9, 10]) expect(one.fate('c1', datagram(1, source))).toBe('c2');
    for (const source of [9, 10]) expect(one.fate('c2', datagram(2, source))).toBe('c1');
    one.lister.setTimeouts({ ...defaults, udpStream: seconds(5) });
    const hits = one.worker().exact_hits ?? 0;
    // Its packets hit exact entries, and the table hears of them by the sweep.
    await pass(one, 8000, () => {
      expect(one.fate('c1', datagram(1, 9))).toBe('c2');
      expect(one.fate('c2', datagram(2, 9))).toBe('c1');
    });
    expect((one.worker().exact_hits ?? 0) - hits).toBeGreaterThan(50);
    expect(one.fate('c2', datagram(2, 10))).toBe('acl_deny');
    expect(one.worker().connections_expired).toBe(1);
    await pass(one, 7500);
    expect(one.fate('c2', datagram(2, 9))).toBe('acl_deny');
    // And it begins anew, for as long as others want.
    one.lister.setTimeouts(defaults);
    expect(one.fate('c1', datagram(1, 9))).toBe('c2');
    await pass(one, 5500);
    expect(one.fate('c2', datagram(2, 9))).toBe('c1');
  });
});
