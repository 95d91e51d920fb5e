// support/wire.ts — what a device does with offloads, done here: checksums finished, segments cut.
//
// A memory port hands over packets as the switch left them for a device that can do everything.
// Written from the virtio specification (5.1.6.2), not from native, so that the result may judge
// what the switch left to the device.

import type { NativeOffload } from '../../src/datapath/native.ts';
import { checksum16, concat, pseudoHeader, sum16, u16, u32 } from './bytes.ts';

const gsoUdp = 5;

interface Given {
  readonly frame: Uint8Array;
  readonly offload: NativeOffload;
}

/** The frames that a device would put on the wire. */
export function onTheWire(sent: readonly Given[]): Uint8Array[] {
  return sent.flatMap(({ frame, offload }) =>
    (offload.gsoType ?? 0) !== 0 ? segments(frame, offload) : [finished(frame, offload)],
  );
}

function finished(frame: Uint8Array, offload: NativeOffload): Uint8Array {
  if (offload.needsChecksum !== true) return frame;
  const bytes = frame.slice();
  const start = offload.checksumStart ?? 0;
  const sum = checksum16(bytes.subarray(start, l3End(bytes)));
  bytes.set(u16(sum === 0 ? 0xffff : sum), start + (offload.checksumOffset ?? 0));
  return bytes;
}

interface Places {
  readonly version: 4 | 6;
  readonly l3: number;
}

function places(frame: Uint8Array): Places {
  let at = 12;
  while ([0x8100, 0x88a8].includes((frame[at]! << 8) | frame[at + 1]!)) at += 4;
  return { version: frame[at + 2]! >>> 4 === 6 ? 6 : 4, l3: at + 2 };
}

/** Behind the last byte of the IP packet, padding left out. */
function l3End(frame: Uint8Array): number {
  const { version, l3 } = places(frame);
  const length = (offset: number) => (frame[l3 + offset]! << 8) | frame[l3 + offset + 1]!;
  return version === 4 ? l3 + length(2) : l3 + 40 + length(4);
}

/** Cuts behind the L4 header at checksumStart; TCP sequence numbers and flags go on. */
function segments(frame: Uint8Array, offload: NativeOffload): Uint8Array[] {
  const { version, l3 } = places(frame);
  const l4 = offload.checksumStart ?? 0;
  const size = offload.gsoSize ?? 0;
  const udp = offload.gsoType === gsoUdp;
  const header = l4 + (udp ? 8 : (frame[l4 + 12]! >>> 4) * 4);
  const pieces: Uint8Array[] = [];
  for (let at = header; at < frame.length; at += size) {
    const piece = concat([frame.subarray(0, header), frame.subarray(at, at + size)]);
    const last = at + size >= frame.length;
    setIp(piece, { version, l3 }, pieces.length);
    if (udp) piece.set(u16(piece.length - l4), l4 + 4);
    else setTcp(piece, l4, at - header, last);
    setChecksum(piece, { version, l3 }, { l4, protocol: udp ? 17 : 6 });
    pieces.push(piece);
  }
  return pieces;
}

function setIp(frame: Uint8Array, { version, l3 }: Places, index: number): void {
  if (version === 6) {
    frame.set(u16(frame.length - l3 - 40), l3 + 4);
    return;
  }
  const view = new DataView(frame.buffer, frame.byteOffset);
  frame.set(u16(frame.length - l3), l3 + 2);
  frame.set(u16((view.getUint16(l3 + 4) + index) & 0xffff), l3 + 4);
  frame.set(u16(0), l3 + 10);
  frame.set(u16(checksum16(frame.subarray(l3, l3 + (frame[l3]! & 15) * 4))), l3 + 10);
}

function setTcp(frame: Uint8Array, l4: number, offset: number, last: boolean): void {
  const view = new DataView(frame.buffer, frame.byteOffset);
  frame.set(u32((view.getUint32(l4 + 4) + offset) >>> 0), l4 + 4);
  // FIN and PSH belong to the last segment, CWR to the first (RFC 3168 section 6.1.2).
  if (!last) frame[l4 + 13]! &= ~0x09;
  if (offset > 0) frame[l4 + 13]! &= ~0x80;
}

function setChecksum(
  frame: Uint8Array,
  { version, l3 }: Places,
  { l4, protocol }: { l4: number; protocol: number },
): void {
  const at = l4 + (protocol === 17 ? 6 : 16);
  const [source, bytes] = version === 4 ? [l3 + 12, 4] : [l3 + 8, 16];
  frame.set(u16(0), at);
  const addresses = [0, bytes].map((offset) =>
    frame.subarray(source + offset, source + offset + bytes),
  ) as [Uint8Array, Uint8Array];
  const pseudo = pseudoHeader(...addresses, protocol, frame.length - l4);
  const sum = ~sum16(concat([pseudo, frame.subarray(l4)])) & 0xffff;
  frame.set(u16(sum === 0 && protocol === 17 ? 0xffff : sum), at);
}
