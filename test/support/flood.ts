// support/flood.ts — a container that sends the same frames as fast as it can.

import { fileURLToPath } from 'node:url';
import type { Lab } from './netns.ts';
import { toHex } from './packet.ts';

const script = fileURLToPath(new URL('./traffic/flood.py', import.meta.url));

/** Starts the flood from a namespace's eth0; resolves when it runs. `end` tells the frames sent. */
export async function flood(lab: Lab, from: string, seconds: number, frames: Uint8Array[]) {
  const args = [script, 'eth0', String(seconds), ...frames.map((frame) => toHex(frame))];
  const child = lab.spawn(from, '/usr/bin/python3', args);
  await child.waitFor(/ready/);
  const end = async () => {
    await child.exited;
    return (JSON.parse(child.stdout.trim().split('\n').pop() ?? '') as { sent: number }).sent;
  };
  return { end };
}
