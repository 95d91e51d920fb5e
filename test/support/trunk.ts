// support/trunk.ts — a device that carries several VLANs, with a namespace behind each.
//
// Works on kernels without 802.1Q devices: a process tags and untags between taps and the trunk,
// and passes offloads on as they come.

import { fileURLToPath } from 'node:url';
import type { Lab } from './netns.ts';

const trunkScript = fileURLToPath(new URL('./traffic/trunk.py', import.meta.url));

/** Who is behind one VLAN: a namespace that is made for it, with eth0. */
export interface Behind {
  readonly ns: string;
  /** 1 to 4094; 0: untagged. */
  readonly vlan: number;
  readonly mac: string;
  /** With prefix length. */
  readonly ip: string;
}

/** Makes a veth pair whose near end `device` is the host's, and what is behind the far end. */
export async function trunk(lab: Lab, host: string, device: string, behind: readonly Behind[]) {
  const far = `${host}-far`;
  await lab.namespace(far, ...behind.map(({ ns }) => ns));
  await lab.veth({ ns: far, name: 'eth0' }, { ns: host, name: device });
  const ends = behind.flatMap(({ ns, vlan }) => [String(vlan), lab.namespacePath(ns), 'eth0']);
  const carrier = lab.spawnHere('/usr/bin/python3', [
    ...[trunkScript, lab.namespacePath(far), 'eth0'],
    ...ends,
  ]);
  await carrier.waitFor(/ready/);
  for (const { ns, mac, ip } of behind) await lab.configure(ns, 'eth0', { mac, ip });
  return carrier;
}
