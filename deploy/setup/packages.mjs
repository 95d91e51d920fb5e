// deploy/setup/packages.mjs — what the machine must have, how to see that it has it, how to get it.
//
// Each need is looked for by what we use of it (a command, a header), not by its package, so a
// self-built tool counts. On Debian and its children what is missing is installed by name; on
// other systems it is named, together with the likely package, and nothing is touched.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, SetupError, say, step } from './progress.mjs';

const searchPath = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'].filter(Boolean);
const hasCommand = (name) => searchPath.some((folder) => existsSync(join(folder, name)));
const hasFile = (...paths) => paths.some((path) => existsSync(path));

function hasFuzzerRuntime() {
  for (const llvm of ['/usr/lib/clang', ...versioned('/usr/lib', 'llvm-', 'lib/clang')]) {
    for (const folder of versioned(llvm, '', 'lib/linux')) {
      if (readdirSync(folder).some((name) => name.startsWith('libclang_rt.fuzzer'))) return true;
    }
  }
  return false;
}

// The folders parent/prefix*/rest that exist.
function versioned(parent, prefix, rest) {
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(parent, name, rest))
    .filter((path) => existsSync(path));
}

const command = (name, debian, fedora = debian) => ({
  what: `command ${name}`,
  found: () => hasCommand(name),
  debian,
  fedora,
});
const header = (path, debian, fedora) => ({
  what: `header ${path}`,
  found: () => hasFile(join('/usr/include', path), join('/usr/local/include', path)),
  debian,
  fedora,
});

const startNeeds = [
  command('g++', 'g++', 'gcc-c++'),
  command('make', 'make'),
  command('python3', 'python3'),
  header('stdlib.h', 'libc6-dev', 'glibc-devel'),
  header('linux/if_xdp.h', 'linux-libc-dev', 'kernel-headers'),
  command('flock', 'util-linux'),
  command('ip', 'iproute2', 'iproute'),
  command('ping', 'iputils-ping', 'iputils'),
  command('iperf3', 'iperf3'),
];

const benchNeeds = [
  ...startNeeds,
  command('git', 'git'),
  header('benchmark/benchmark.h', 'libbenchmark-dev', 'google-benchmark-devel'),
  command('cmake', 'cmake'),
];

// A driver of DPDK, which Open vSwitch loads by itself.
const driver = (name, debian, fedora = 'dpdk') => ({
  what: `DPDK driver ${name}`,
  found: () =>
    ['/usr/lib', '/usr/lib64']
      .flatMap((folder) => [...versioned(folder, '', 'dpdk'), join(folder, 'dpdk')])
      .flatMap((folder) => versioned(folder, 'pmds-', ''))
      .some((folder) => readdirSync(folder).some((file) => file.startsWith(name))),
  debian,
  fedora,
});

const peersNeeds = [
  command('ovs-vsctl', 'openvswitch-switch', 'openvswitch'),
  command('setpriv', 'util-linux'),
  {
    what: 'Open vSwitch with DPDK',
    found: () => hasFile('/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk'),
    debian: 'openvswitch-switch-dpdk',
    fedora: 'openvswitch-dpdk',
  },
  driver('librte_net_pcap.so', 'librte-meta-net'),
  driver('librte_mempool_ring.so', 'librte-meta-mempool'),
];

const netnsNeeds = [
  command('ovs-vsctl', 'openvswitch-switch', 'openvswitch'),
  command('ovs-vswitchd', 'openvswitch-switch', 'openvswitch'),
  command('ethtool', 'ethtool'),
];

const nft = command('nft', 'nftables');
const rfc2544Needs = [...netnsNeeds, nft];

const testNeeds = [
  ...benchNeeds,
  header('pcap/pcap.h', 'libpcap-dev', 'libpcap-devel'),
  command('tshark', 'tshark', 'wireshark-cli'),
  {
    what: 'python3 module scapy',
    found: () =>
      hasFile(
        '/usr/lib/python3/dist-packages/scapy',
        ...versioned('/usr/lib', 'python3.', 'site-packages/scapy'),
      ),
    debian: 'python3-scapy',
    fedora: 'python3-scapy',
  },
  command('ovs-vsctl', 'openvswitch-switch', 'openvswitch'),
  command('ovs-vswitchd', 'openvswitch-switch', 'openvswitch'),
  command('tc', 'iproute2', 'iproute-tc'),
  command('tcpdump', 'tcpdump'),
  command('traceroute', 'traceroute'),
  command('curl', 'curl'),
  command('openssl', 'openssl'),
  command('setpriv', 'util-linux'),
  command('clang++', 'clang'),
  command('llvm-symbolizer', 'llvm'),
  {
    what: 'clang sanitizer and fuzzer runtime',
    found: hasFuzzerRuntime,
    debian: 'libclang-rt-dev',
    fedora: 'compiler-rt',
  },
  header('gtest/gtest.h', 'libgtest-dev', 'gtest-devel'),
  command('ps', 'procps', 'procps-ng'),
  nft,
];

const needs = {
  start: startNeeds,
  bench: benchNeeds,
  peers: peersNeeds,
  netns: netnsNeeds,
  rfc2544: rfc2544Needs,
  test: testNeeds,
};
const debianFamily = /(^|\n)ID(_LIKE)?="?[^\n]*(debian|ubuntu)/;
const policyFile = '/usr/sbin/policy-rc.d';

/**
 * Makes sure that the machine has what `goal`, a key of `needs`, needs.
 * Throws a SetupError which names every missing thing if we may not or cannot install it.
 */
export async function ensurePackages(goal) {
  const missing = needs[goal].filter((need) => !need.found());
  if (missing.length === 0) return;
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const isDebian = debianFamily.test(release) && hasCommand('apt-get');
  const packages = [...new Set(missing.map((need) => (isDebian ? need.debian : need.fedora)))];
  if (!isDebian || process.getuid() !== 0)
    throw new SetupError(describe(missing, isDebian, packages));

  say(`missing: ${missing.map((need) => need.what).join(', ')}`);
  await install(packages);
  const stillMissing = missing.filter((need) => !need.found());
  if (stillMissing.length > 0) throw new SetupError(describe(stillMissing, true, packages));
}

function describe(missing, isDebian, packages) {
  const how = isDebian
    ? `apt-get install ${packages.join(' ')}`
    : hasCommand('dnf')
      ? `dnf install ${packages.join(' ')}`
      : `your system's package manager; Fedora calls the packages ${packages.join(' ')}`;
  const list = missing.map((need) => `  ${need.what} (Debian package ${need.debian})`).join('\n');
  return `this machine lacks\n${list}\nGet it as root with: ${how}`;
}

async function install(packages) {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const lockWait = ['-o', 'DPkg::Lock::Timeout=300'];
  const services = await enabledServices();
  const restore = forbidServiceStarts();
  try {
    await step('apt-get update', 'apt-get', [...lockWait, 'update'], { env });
    const args = [...lockWait, 'install', '-y', '--no-install-recommends', ...packages];
    await step(`apt-get install ${packages.join(' ')}`, 'apt-get', args, { env });
  } finally {
    restore();
  }
  await disableNewServices(services);
}

// Some packages start a daemon when installed (openvswitch-switch). We want the programs only:
// policy-rc.d is Debian's switch for that. One that is there already is left as it is.
function forbidServiceStarts() {
  if (existsSync(policyFile)) return () => {};
  writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const restore = () => rmSync(policyFile, { force: true });
  process.once('exit', restore);
  return restore;
}

async function enabledServices() {
  if (!existsSync('/run/systemd/system')) return undefined;
  const args = ['list-unit-files', '--type=service', '--state=enabled', '--no-legend', '--plain'];
  const { output } = await run('systemctl', args);
  return new Set(output.split('\n').map((line) => line.split(/\s+/)[0]));
}

// What the packages enabled would start at the next boot; the tests start their own.
async function disableNewServices(before) {
  if (before === undefined) return;
  const after = await enabledServices();
  const added = [...after].filter((unit) => unit !== '' && !before.has(unit));
  if (added.length === 0) return;
  say(`leaving disabled at boot: ${added.join(', ')}`);
  await run('systemctl', ['disable', ...added]);
}
