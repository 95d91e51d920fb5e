// flow/segment.test.ts — a segment back to a sender, read by others than its writer.

import { expect, test } from 'vitest';
import { newKey } from '../../../src/flow/key.ts';
import { parsePacket } from '../../../src/flow/packet.ts';
import { segmentBack } from '../../../src/flow/segment.ts';
import { eth, expectPacket } from '../../support/packet.ts';

const there = eth({ src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02' });
const back = eth({ src: '02:00:00:00:00:02', dst: '02:00:00:00:00:01' });
const segment = { src: 80, dst: 40000, seq: 0x80000001, flags: 'A', window: 0 };

function keyOf(frame: Uint8Array): Uint32Array {
  const key = newKey();
  expect(parsePacket(frame, key)).toBe(0);
  return key;
}

test('MACs, addresses and ports are turned around; checksums are right', () => {
  const four = keyOf(
    there.ip({ src: '10.0.0.1', dst: '10.0.0.2' }).tcp({ src: 40000, dst: 80 }).build(),
  );
  const wanted4 = back.ip({ src: '10.0.0.2', dst: '10.0.0.1', id: 0, df: true, ttl: 64 });
  expectPacket(segmentBack(four, 0x80000001), wanted4.tcp(segment));
  const six = keyOf(
    there.ip6({ src: 'fd00::1', dst: 'fd00::2' }).tcp({ src: 40000, dst: 80 }).build(),
  );
  const wanted6 = back.ip6({ src: 'fd00::2', dst: 'fd00::1', hopLimit: 64 });
  expectPacket(segmentBack(six, 0x80000001), wanted6.tcp(segment));
});

test('VLAN tags stay', () => {
  const ends = { src: '10.0.0.1', dst: '10.0.0.2' };
  const turned = { src: '10.0.0.2', dst: '10.0.0.1', id: 0, df: true, ttl: 64 };
  const one = keyOf(there.vlan(7).ip(ends).tcp({ src: 40000, dst: 80 }).build());
  expectPacket(segmentBack(one, 0x80000001), back.vlan(7).ip(turned).tcp(segment));
  const two = keyOf(there.serviceVlan(9).vlan(7).ip(ends).tcp({ src: 40000, dst: 80 }).build());
  const tagged = back.serviceVlan(9).vlan(7);
  expectPacket(segmentBack(two, 0x80000001), tagged.ip(turned).tcp(segment));
});
