// support/rawip.ts — whether one packet of any IP protocol reaches another container.

import { fileURLToPath } from 'node:url';
import type { Lab } from './netns.ts';
import { toHex } from './packet.ts';
import type { Path } from './traffic.ts';
import { waitUntil } from './wait.ts';

const script = fileURLToPath(new URL('./traffic/rawip.py', import.meta.url));
const python = '/usr/bin/python3';

/** Sends one packet of the protocol, and tells whether it came within the time. */
export async function reaches(
  lab: Lab,
  path: Path,
  { protocol, payload, waitMs = 1500 }: { protocol: number; payload: Uint8Array; waitMs?: number },
): Promise<boolean> {
  const family = path.address.includes(':') ? '6' : '4';
  const receiver = lab.spawn(path.to, python, [script, 'receive', String(protocol), family]);
  try {
    await receiver.waitFor(/ready/);
    const args = [script, 'send', String(protocol), path.address, toHex(payload)];
    await lab.must(path.from, python, args);
    const came = () => /from/.test(receiver.stdout);
    return await waitUntil(came, { timeoutMs: waitMs, what: 'the packet' }).then(
      () => true,
      () => false,
    );
  } finally {
    await receiver.stop();
  }
}
