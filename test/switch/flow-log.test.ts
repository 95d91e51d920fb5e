// switch/flow-log.test.ts — what workers tell the flow log: when, why, and each packet once.

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
const port = (last: number) =>
  `  - { name: c${last}, network: blue, mac: "${mac(last)}", ips: [${ip(last)}], ` +
  `host: h1, device: c${last}, securityGroups: [all] }`;
const two = `
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }]
networks: [{ name: blue, vni: 100 }]
securityGroups:
  - name: all
    rules:
      - { direction: egress }
      - { direction: ingress, protocol: tcp, ports: 80-90 }
      - { direction: ingress, protocol: udp, ports: 53 }
      - { direction: ingress, protocol: icmp }
ports:
${port(1)}
${port(2)}
`;

/** Logs in seconds of idleness and life, and counts what it sends. */
class Logged {
  readonly model = new ModelSwitch(two);
  readonly sent = new Map<string, { packets: number; bytes: number }>();

  constructor(idleMs: number, activeMs: number) {
    open.push(this.model);
    this.model.lister.reportEnds({ idleMs, activeMs });
  }

  send(from: 1 | 2, frame: Uint8Array): void {
    const to = from === 1 ? 2 : 1;
    expect(this.model.fate(`c${from}`, frame)).toBe(`c${to}`);
    const sum = this.sent.get(`c${from}`) ?? { packets: 0, bytes: 0 };
    this.sent.set(`c${from}`, {
      packets: sum.packets + 1,
      bytes: sum.bytes + frame.length,
    });
  }

  way(from: 1 | 2) {
    const to = from === 1 ? 2 : 1;
    return eth({ src: mac(from), dst: mac(to) }).ip({ src: ip(from), dst: ip(to) });
  }

  tcp(from: 1 | 2, flags: string, bytes = 0): void {
    const [src, dst] = from === 1 ? [40_000, 80] : [80, 40_000];
    this.send(from, this.way(from).tcp({ src, dst, flags }).payload(bytes).build());
  }

  handshake(): void {
    this.tcp(1, 'S');
    this.tcp(2, 'SA');
    this.tcp(1, 'A');
  }

  /** Lets time pass for the worker, too. */
  async pass(ms: number): Promise<void> {
    for (const end = performance.now() + ms; performance.now() < end; await sleep(20)) {
      this.model.settle();
    }
    await this.model.answerTo(this.model.lister.list());
  }

  /** What the records of a sender add up to, and why each was made. */
  told(from: 1 | 2) {
    const mine = this.model.ended.filter(({ report }) => report.key[0] === this.#number(from));
    return {
      why: mine.map(({ why }) => why),
      packets: mine.reduce((sum, { report }) => sum + report.packets, 0),
      bytes: mine.reduce((sum, { report }) => sum + report.bytes, 0),
    };
  }

  #number(from: 1 | 2): number {
    return this.model.number('devices', `c${from}`);
  }
}

describe('the flow log is told', () => {
  test('of a TCP connection when it has ended, with its first and last packets', async () => {
    const one = new Logged(15_000, 60_000);
    one.handshake();
    for (let packet = 0; packet < 5; packet += 1) one.tcp(2, 'A', 1000);
    one.tcp(1, 'A');
    await one.pass(1500);
    expect(one.model.ended).toEqual([]); // It lives.
    for (const [from, flags] of [
      [2, 'FA'],
      [1, 'A'],
      [1, 'FA'],
      [2, 'A'],
    ] as const)
      one.tcp(from, flags);
    const begun = performance.now();
    while (one.model.ended.length < 2) await one.pass(50);
    expect(performance.now() - begun).toBeLessThan(2000);
    for (const from of [1, 2] as const) {
      expect(one.told(from)).toEqual({ why: ['end'], ...one.sent.get(`c${from}`) });
    }
    const [there] = one.model.ended.filter(({ report }) => report.connection !== 0);
    expect(there?.report.state).toBeGreaterThan(0);
    // What comes afterwards is told of when it is told that it is idle: nothing twice.
    await one.pass(1500);
    expect(one.model.ended).toHaveLength(2);
  });

  test('of a reset at once, and of the next connection between the same ports apart', async () => {
    const one = new Logged(15_000, 60_000);
    one.handshake();
    one.tcp(2, 'R');
    while (one.model.ended.length < 2) await one.pass(50);
    expect(one.told(1)).toEqual({ why: ['end'], ...one.sent.get('c1') });
    expect(one.told(2)).toEqual({ why: ['end'], ...one.sent.get('c2') });
    one.handshake();
    one.tcp(1, 'R');
    while (one.model.ended.length < 4) await one.pass(50);
    expect(one.told(1)).toEqual({ why: ['end', 'end'], ...one.sent.get('c1') });
    expect(one.told(2)).toEqual({ why: ['end', 'end'], ...one.sent.get('c2') });
  });

  test('of silence, and of what comes after it, whatever was counted where', async () => {
    const one = new Logged(1000, 60_000);
    const ask = () => one.send(1, one.way(1).udp({ src: 9, dst: 53 }).payload(30).build());
    const answer = () => one.send(2, one.way(2).udp({ src: 53, dst: 9 }).payload(90).build());
    for (let packet = 0; packet < 3; packet += 1) ask();
    answer();
    while (one.model.ended.length < 2) await one.pass(100);
    ask();
    answer();
    answer();
    while (one.model.ended.length < 4) await one.pass(100);
    for (const from of [1, 2] as const) {
      expect(one.told(from)).toEqual({ why: ['idle', 'idle'], ...one.sent.get(`c${from}`) });
    }
    const [, , third] = one.model.ended;
    expect(third?.report.ageMs).toBeLessThan(4000); // Since it began anew.
  });

  test('of what goes on, again and again, with what came since', async () => {
    const one = new Logged(15_000, 1000);
    one.handshake();
    for (let turn = 0; turn < 30; turn += 1) {
      one.tcp(2, 'A', 100 + turn);
      await one.pass(100);
    }
    one.tcp(1, 'R');
    const whole = () => one.told(2).packets === one.sent.get('c2')?.packets;
    for (let turn = 0; turn < 50 && !whole(); turn += 1) await one.pass(100);
    const { why } = one.told(2);
    expect(why.filter((reason) => reason === 'active').length).toBeGreaterThanOrEqual(2);
    expect(one.told(2)).toEqual({ why, ...one.sent.get('c2') });
  });

  test('of pings, which have no entries to hit', async () => {
    const one = new Logged(1000, 60_000);
    for (let seq = 0; seq < 4; seq += 1) {
      const echo = { id: 7, seq };
      one.send(
        1,
        one
          .way(1)
          .icmp({ type: 8, ...echo })
          .payload(56)
          .build(),
      );
      one.send(
        2,
        one
          .way(2)
          .icmp({ type: 0, ...echo })
          .payload(56)
          .build(),
      );
    }
    while (one.model.ended.length < 2) await one.pass(100);
    expect(one.told(1)).toEqual({ why: ['idle'], ...one.sent.get('c1') });
    expect(one.told(2)).toEqual({ why: ['idle'], ...one.sent.get('c2') });
  });
});
