// support/peers/kernel-vxlan.ts — the kernel's vxlan device behind a bridge, as a VTEP that is not
// ours.

import type { Lab } from '../netns.ts';

export interface KernelVtepOptions {
  /** Namespace of the host. */
  ns: string;
  /** The underlay device, with its address already on it. */
  device: string;
  local: string;
  vni: number;
  /**
   * Where unknown and broadcast frames go; with several, each gets a copy (head-end replication).
   */
  remotes: string[];
  /** Devices of the namespace that join the bridge. */
  ports: string[];
  /** Default 4789. */
  port?: number;
  /** Learn remote MACs from what arrives; default true. Without it give `fdb`. */
  learning?: boolean;
  /** Which MAC is behind which remote. */
  fdb?: { mac: string; remote: string }[];
  /** MTU of the vxlan device; the kernel's own choice by default (underlay less the headers). */
  mtu?: number;
  /** Names of the devices made; several VNIs in one namespace need their own. */
  name?: string;
}

/** Makes the bridge and the vxlan device; they go with the namespace. Returns their names. */
export async function kernelVtep(lab: Lab, options: KernelVtepOptions) {
  const { ns, vni } = options;
  const vxlan = `${options.name ?? 'vx'}${vni}`;
  const bridge = `br${vni}`;
  const ip = (...args: string[]) => lab.must(ns, 'ip', args);
  // A bridge that snoops joins a group and says so, from a MAC of its own, some time later.
  await ip('link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0');
  await ip(
    ...['link', 'add', vxlan, 'type', 'vxlan', 'id', String(vni), 'local', options.local],
    ...['dev', options.device, 'dstport', String(options.port ?? 4789)],
    (options.learning ?? true) ? 'learning' : 'nolearning',
  );
  if (options.mtu) await ip('link', 'set', vxlan, 'mtu', String(options.mtu));
  const fdb = (mac: string, remote: string) =>
    lab.must(ns, 'bridge', ['fdb', 'append', mac, 'dev', vxlan, 'dst', remote]);
  for (const remote of options.remotes) await fdb('00:00:00:00:00:00', remote);
  for (const { mac, remote } of options.fdb ?? []) await fdb(mac, remote);
  for (const member of [vxlan, ...options.ports]) await ip('link', 'set', member, 'master', bridge);
  for (const device of [vxlan, bridge]) await ip('link', 'set', device, 'up');
  return { vxlan, bridge };
}

/** The remote that the kernel's vxlan device has learned for a MAC, if any. */
export async function learnedRemote(lab: Lab, ns: string, vxlan: string, mac: string) {
  const { stdout } = await lab.must(ns, 'bridge', ['-json', 'fdb', 'show', 'dev', vxlan]);
  const entries: { mac: string; dst?: string }[] = JSON.parse(stdout || '[]');
  return entries.find((entry) => entry.mac === mac && entry.dst)?.dst;
}
