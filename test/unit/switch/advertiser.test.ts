// switch/advertiser.test.ts — when hosts are told of their router unasked.

import { beforeEach, describe, expect, test } from 'vitest';
import { action, formatActions } from '../../../src/flow/actions.ts';
import type { Advertisement } from '../../../src/rules/advertise.ts';
import { Advertiser, solicitationIn } from '../../../src/switch/advertiser.ts';
import { eth, expectPacket } from '../../support/packet.ts';

const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
const advert = (lifetime = 1800) => action.routerAdvert(mac, 1450, lifetime);
const blue = (ports: Advertisement['ports'] = [{ device: 1, vlan: 0 }]): Advertisement => ({
  ...{ network: 'blue', program: advert(), ports },
});

let nowMs: number;
let sent: { inPort: number; program: string; frame: Uint8Array; atMs: number }[];
let advertiser: Advertiser;

beforeEach(() => {
  nowMs = 5_000;
  sent = [];
  advertiser = new Advertiser({
    send: (inPort, words, frame) => {
      const program = `${words[0]! >>> 16} s: ${formatActions(words, 0, words.length)}`;
      sent.push({ inPort, program, frame, atMs: nowMs });
    },
    nowMs: () => nowMs,
    random: () => 0.5,
  });
});

/** Ticks once a second for so long; times of what was sent, in seconds from now. */
function pass(seconds: number): number[] {
  const from = nowMs;
  sent = [];
  for (const end = nowMs + seconds * 1000; nowMs < end; nowMs += 1000) advertiser.tick();
  return sent.map(({ atMs }) => (atMs - from) / 1000);
}

describe('a network', () => {
  test('is told at once, twice more soon, and then between 200 and 600 s', () => {
    advertiser.set([blue()]);
    expect(pass(1300)).toEqual([0, 8, 16, 416, 816, 1216]);
  });

  test('is told through each of its ports, by a program that turns a solicitation', () => {
    const ports = [
      { device: 1, vlan: 0 },
      { device: 4, vlan: 30 },
    ];
    advertiser.set([blue(ports)]);
    advertiser.tick();
    expect(sent.map(({ inPort, program }) => [inPort, program])).toEqual([
      [1, '1800 s: router_advert(02:00:00:00:00:09),output(1)'],
      [4, '1800 s: router_advert(02:00:00:00:00:09),output(4)'],
    ]);
    const asked = eth({ src: '02:00:00:00:00:00', dst: '33:33:00:00:00:02' });
    const toRouters = { src: '::', dst: 'ff02::2', hopLimit: 255 };
    expectPacket(sent[0]!.frame, asked.ip6(toRouters).icmp6({ type: 133 }));
    expectPacket(sent[1]!.frame, asked.vlan(30).ip6(toRouters).icmp6({ type: 133 }));
    expect(sent[0]!.frame).toEqual(solicitationIn(0));
  });

  test('keeps its times while nothing about it changes, and is told anew then', () => {
    advertiser.set([blue()]);
    pass(100);
    advertiser.set([blue()]);
    expect(pass(300)).toEqual([]);
    advertiser.set([
      blue([
        { device: 1, vlan: 0 },
        { device: 2, vlan: 0 },
      ]),
    ]);
    expect(pass(20)).toEqual([0, 0, 8, 8, 16, 16]);
    advertiser.set([{ ...blue(), program: action.routerAdvert(mac, 1400, 1800) }]);
    expect(pass(20)).toEqual([0, 8, 16]);
  });

  test('whose router goes is told so once: a lifetime of nothing', () => {
    advertiser.set([blue()]);
    pass(100);
    sent = [];
    advertiser.set([]);
    expect(sent.map(({ program }) => program)).toEqual([
      '0 s: router_advert(02:00:00:00:00:09),output(1)',
    ]);
    expect(pass(1000)).toEqual([]);
  });
});
