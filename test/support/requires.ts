// support/requires.ts — what a test needs from the machine; without it the test is skipped, with
// the reason.
//
// The kernel is asked by doing the thing in a throw-away network namespace, not by reading its
// version. Answers are kept for the life of the process.

import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, type TestContext } from 'vitest';
import { runSync } from './process.ts';

/**
 * root: may make network namespaces. command:NAME: NAME is in PATH (also /usr/sbin). The others are
 * kernel features: xdp-native and xdp-generic on veth (with AF_XDP sockets; xdp means both), vxlan,
 * geneve, bridge, veth, and tun for TAP devices.
 */
export type Need =
  | 'root'
  | `command:${string}`
  | 'xdp'
  | 'xdp-native'
  | 'xdp-generic'
  | 'vxlan'
  | 'geneve'
  | 'bridge'
  | 'veth'
  | 'tun';

const xdpProbe = fileURLToPath(new URL('./probes/xdp.py', import.meta.url));

/** The Debian package that brings a command which the tests use. */
const packages: Record<string, string> = {
  curl: 'curl',
  'ovs-vswitchd': 'openvswitch-switch',
  ethtool: 'ethtool',
  iperf3: 'iperf3',
  nft: 'nftables',
  ping: 'iputils-ping',
  tcpdump: 'tcpdump',
  traceroute: 'traceroute',
  tshark: 'tshark',
};

const answers = new Map<Need, string | undefined>();

/** The reason why a need is not met, as one phrase; undefined when it is. */
export function lack(need: Need): string | undefined {
  if (!answers.has(need)) answers.set(need, probe(need));
  return answers.get(need);
}

/** The first reason among several needs. */
export function firstLack(needs: Need[]): string | undefined {
  for (const need of needs) {
    const reason = lack(need);
    if (reason) return reason;
  }
  return undefined;
}

/** Skips the running test with a printed reason when a need is not met. */
export function requires(context: Pick<TestContext, 'skip' | 'task'>, ...needs: Need[]) {
  const reason = firstLack(needs);
  if (!reason) return;
  process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`);
  context.skip(reason);
}

/** A `describe` that skips all its tests, with the reason in its name, when a need is not met. */
export function describeWith(needs: Need[], name: string, body: () => void) {
  const reason = firstLack(needs);
  if (!reason) return describe(name, body);
  process.stderr.write(`skipped: ${name}: ${reason}\n`);
  return describe.skip(`${name} (skipped: ${reason})`, body);
}

function probe(need: Need): string | undefined {
  if (need.startsWith('command:')) return probeCommand(need.slice('command:'.length));
  if (need === 'root') {
    return inThrowAwayNamespace('true') && 'needs the privilege to make network namespaces (root)';
  }
  const noRoot = lack('root');
  if (noRoot) return noRoot;
  if (need === 'xdp') return lack('xdp-generic') ?? lack('xdp-native');
  if (need === 'xdp-native' || need === 'xdp-generic') return probeXdp(need.slice(4));
  const made = inThrowAwayNamespace(deviceMakers[need as keyof typeof deviceMakers]);
  return made && `the kernel makes no ${need} device (${made})`;
}

const deviceMakers = {
  vxlan: 'ip link add x0 type vxlan id 1 dstport 4789 dev lo',
  geneve: 'ip link add x0 type geneve id 1 remote 127.0.0.1',
  bridge: 'ip link add x0 type bridge',
  veth: 'ip link add x0 type veth peer name x1',
  tun: 'ip tuntap add dev x0 mode tap vnet_hdr',
};

function probeXdp(mode: string) {
  const ask = `/usr/bin/python3 ${xdpProbe} ${mode} x0`;
  const script = `${deviceMakers.veth} && ip link set x0 up && ${ask}`;
  const refused = inThrowAwayNamespace(script);
  return refused && `no ${mode} XDP on veth (${refused})`;
}

function probeCommand(command: string) {
  const folders = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`.split(':');
  const found = folders.some((folder) => {
    try {
      accessSync(`${folder}/${command}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (found) return undefined;
  return `${command} is not installed (apt-get install ${packages[command] ?? command})`;
}

/** Undefined when the script succeeds, else the last line that it said. */
function inThrowAwayNamespace(script: string): string | undefined {
  const { code, stderr } = runSync('unshare', ['--net', 'sh', '-c', script]);
  if (code === 0) return undefined;
  return stderr.trim().split('\n').pop() || `exit code ${code}`;
}
