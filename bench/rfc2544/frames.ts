// bench/rfc2544/frames.ts — which frames are sent: the sizes of RFC 2544, and mixes.
//
// Sizes count the whole Ethernet frame with its FCS (RFC 2544, 9.1). The wire takes 20 bytes more
// for each frame, preamble and gap, which rates in bits a second here do not count: so a line rate
// is less than the wire's, and less so for larger frames.

import type { FrameMix } from './trial.ts';

/** Preamble, start delimiter and the least gap between frames, in bytes (IEEE 802.3). */
const aroundBytes = 20;
const sizes = [64, 128, 256, 512, 1024, 1280, 1518];
const sizeMax = 9216;

/** Mixes by name. */
const mixes: readonly FrameMix[] = [
  {
    // The Simple IMIX with its middle size as most generators make it; 361.8 bytes on average.
    name: 'imix',
    shares: [
      { size: 64, weight: 7 },
      { size: 594, weight: 4 },
      { size: 1518, weight: 1 },
    ],
  },
  {
    // The same with 570 in the middle, as FD.io CSIT sends it: 353.8 bytes on average, which is
    // what the NVE paper says of its mix.
    name: 'paper',
    shares: [
      { size: 64, weight: 7 },
      { size: 570, weight: 4 },
      { size: 1518, weight: 1 },
    ],
  },
];

export const frameNames: readonly string[] = [
  ...sizes.map(String),
  ...mixes.map(({ name }) => name),
];

/** A mix by name, or frames of one size; throws with what there is. */
export function frameMix(name: string): FrameMix {
  const mix = mixes.find((one) => one.name === name);
  if (mix !== undefined) return mix;
  const size = Number(name);
  if (Number.isInteger(size) && size >= 64 && size <= sizeMax) {
    return { name, shares: [{ size, weight: 1 }] };
  }
  const known = mixes.map((one) => one.name).join(', ');
  throw new Error(`no frames ${name}: wants a size from 64 to ${sizeMax}, or one of ${known}`);
}

/** Mean bytes of a frame. */
export function averageSize({ shares }: FrameMix): number {
  const weights = shares.reduce((sum, { weight }) => sum + weight, 0);
  return shares.reduce((sum, { size, weight }) => sum + size * weight, 0) / weights;
}

/** Gbit/s of whole frames, without preamble and gap. */
export function gigabits(mix: FrameMix, framesPerSecond: number): number {
  return (framesPerSecond * averageSize(mix) * 8) / 1e9;
}

/** Frames a second that fit on a wire of so many Gbit/s, in each direction. */
export function lineRate(mix: FrameMix, gigabitsPerSecond: number): number {
  return (gigabitsPerSecond * 1e9) / ((averageSize(mix) + aroundBytes) * 8);
}
