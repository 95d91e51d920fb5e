// support/topology.ts — the set-up that most end-to-end tests start from: two hosts, four
// containers.
//
//   c1 eth0 ── p1 ┐                                  ┌ p2 ── eth0 c2
//                 h1  u1 ════ underlay veth ════ u2  h2
//   c3 eth0 ── p3 ┘                                  └ p4 ── eth0 c4
//
// c1 and c2 are meant for one tenant, c3 and c4 for another; addresses may be overlapped by option.
// Offloads stay as the kernel sets them: that traffic works with them on is what is tested.

import { fileURLToPath } from 'node:url';
import type { Lab, VethEnd } from './netns.ts';
import { mustRun } from './process.ts';

const wireScript = fileURLToPath(new URL('./traffic/wire.py', import.meta.url));

export type Underlay = 'ipv4' | 'ipv6';

export interface Host {
  ns: 'h1' | 'h2';
  /** The underlay device, u1 or u2. */
  device: string;
  /** Underlay address without prefix length. */
  ip: string;
  mac: string;
}

export interface Container {
  ns: string;
  host: 'h1' | 'h2';
  /** Device at the host's side: the end of a veth pair, or the tap that is yet to be made. */
  port: string;
  mac: string;
  /** Addresses without prefix length, on eth0. */
  ip: string;
  ip6: string;
  prefix: number;
  mtu: number;
}

export interface TwoHosts {
  hosts: { h1: Host; h2: Host };
  containers: Record<'c1' | 'c2' | 'c3' | 'c4', Container>;
}

export interface TwoHostsOptions {
  /** The underlay's IP version; default ipv4: 172.31.1.1 and .2, else fd00:31::1 and ::2. */
  encapUnderlay?: Underlay;
  /**
   * MTU of the underlay; default 1600, so that 1500-byte containers fit with either encapsulation.
   */
  mtu?: number;
  /** MTU of the containers' eth0; default 1500. */
  containerMtu?: number;
  /** veth: eth0 is there at once. tap: the containers are empty until `adoptTap`. Default veth. */
  attach?: 'veth' | 'tap';
  /** Gives c3 and c4 the addresses (MAC too) of c1 and c2, as two tenants may. Default false. */
  overlap?: boolean;
  /**
   * What joins the hosts. veth passes unfinished checksums and superpackets from kernel to kernel.
   * tap is a cable of two taps, carried by a process, on which packets are as a wire would have
   * them: for peers that read raw frames without offload information (Open vSwitch), and for
   * recording. Default veth.
   */
  wire?: 'veth' | 'tap';
  /** With wire 'tap': a pcap file that gets every frame of the underlay. */
  record?: string;
  /** Which containers to make; default all four. */
  containers?: ('c1' | 'c2' | 'c3' | 'c4')[];
}

/** Builds the hosts, the underlay and the containers; the lab removes them. */
export async function twoHosts(lab: Lab, options: TwoHostsOptions = {}): Promise<TwoHosts> {
  const mtu = options.mtu ?? 1600;
  const hosts = { h1: host(1, options.encapUnderlay), h2: host(2, options.encapUnderlay) };
  const names = options.containers ?? (['c1', 'c2', 'c3', 'c4'] as const);
  await lab.namespace('h1', 'h2', ...names);
  const prefix = options.encapUnderlay === 'ipv6' ? 64 : 24;
  const [left, right] = [hosts.h1, hosts.h2].map((one) => ({
    ns: one.ns,
    name: one.device,
    mac: one.mac,
    mtu,
    ip: `${one.ip}/${prefix}`,
  }));
  if (options.wire === 'tap') await tapWire(lab, left, right, options.record);
  else await lab.veth(left, right);
  const containers = {
    c1: container(1, options),
    c2: container(2, options),
    c3: container(3, options),
    c4: container(4, options),
  };
  for (const one of options.attach === 'tap' ? [] : names.map((name) => containers[name])) {
    await lab.veth(
      { ns: one.ns, name: 'eth0', mac: one.mac, mtu: one.mtu, ip: addresses(one) },
      { ns: one.host, name: one.port, mtu: one.mtu },
    );
  }
  return { hosts, containers };
}

/**
 * A cable of two taps between namespaces of the lab; it is there while the returned process runs.
 */
export async function tapWire(lab: Lab, left: VethEnd, right: VethEnd, record?: string) {
  const ends = [left, right].flatMap((end) => [lab.namespacePath(end.ns), end.name]);
  const recording = record ? ['--record', record] : [];
  const wire = lab.spawnHere('/usr/bin/python3', [wireScript, ...recording, ...ends]);
  await wire.waitFor(/ready/);
  for (const end of [left, right]) await lab.configure(end.ns, end.name, end);
  return wire;
}

function host(number: 1 | 2, underlay: Underlay = 'ipv4'): Host {
  return {
    ns: `h${number}`,
    device: `u${number}`,
    ip: underlay === 'ipv6' ? `fd00:31::${number}` : `172.31.1.${number}`,
    mac: `02:00:00:00:aa:0${number}`,
  };
}

function container(number: number, options: TwoHostsOptions): Container {
  const identity = options.overlap && number > 2 ? number - 2 : number;
  return {
    ns: `c${number}`,
    host: number % 2 === 1 ? 'h1' : 'h2',
    port: `p${number}`,
    mac: `02:00:00:00:00:0${identity}`,
    ip: `10.0.0.${identity}`,
    ip6: `fd00:10::${identity}`,
    prefix: 24,
    mtu: options.containerMtu ?? 1500,
  };
}

function addresses(one: Container) {
  return [`${one.ip}/${one.prefix}`, `${one.ip6}/64`];
}

/**
 * Moves a device of the container's host (a tap that a daemon made, an internal port of Open
 * vSwitch) into the container and makes it its eth0. The descriptor that its maker holds goes on
 * working.
 */
export async function adoptTap(lab: Lab, container: Container, device = container.port) {
  await lab.waitForLink(container.host, device);
  await mustRun('ip', [
    ...['-n', lab.realName(container.host), 'link', 'set', device],
    ...['netns', lab.realName(container.ns), 'name', 'eth0'],
  ]);
  const { mac, mtu } = container;
  await lab.configure(container.ns, 'eth0', { mac, mtu, ip: addresses(container) });
}
