// e2e/learning.test.ts — a network that learns: behind a VTEP that is no vtepd, and behind its own
// ports, addresses are found that no document knows.

import { expect, it } from 'vitest';
import type { Lab } from '../support/netns.ts';
import { useLab } from '../support/netns.ts';
import { kernelVtep, learnedRemote } from '../support/peers/kernel-vxlan.ts';
import { describeWith } from '../support/requires.ts';
import { type TwoHosts, twoHosts } from '../support/topology.ts';
import { ping, transfer } from '../support/traffic.ts';
import { Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

interface Wanted {
  agingSeconds?: number;
  limitPerPort?: number;
}

const macOf = (number: number) => `02:00:00:00:10:${number.toString(16).padStart(2, '0')}`;

// h1 runs vtepd; c1 is a port with port security, c3 one behind which others may live.
function document({ hosts, containers }: TwoHosts, wanted: Wanted): string {
  const { agingSeconds = 300, limitPerPort = 16 } = wanted;
  const { c1, c3 } = containers;
  return [
    'hosts:',
    `  - { name: h1, tunnelIp: ${hosts.h1.ip} }`,
    `  - { name: far, tunnelIp: ${hosts.h2.ip}, kind: peer, networks: [blue] }`,
    'networks:',
    '  - name: blue',
    '    vni: 100',
    '    mtu: 1500',
    `    learning: { agingSeconds: ${agingSeconds}, limitPerPort: ${limitPerPort} }`,
    'ports:',
    `  - { name: c1, network: blue, mac: "${c1.mac}", ips: [${c1.ip}], host: h1, device: p1 }`,
    `  - { name: c3, network: blue, mac: "${c3.mac}", host: h1, device: p3, portSecurity: false }`,
    '',
  ].join('\n');
}

async function world(lab: Lab, wanted: Wanted = {}) {
  const topology = await twoHosts(lab);
  const { hosts } = topology;
  // What the bridge and the containers behind it say by IPv6 unasked would be learned as well.
  await lab.must('h2', 'sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
  for (const ns of ['c2', 'c4']) {
    await lab.must(ns, 'sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=1']);
  }
  await kernelVtep(lab, {
    ...{ ns: 'h2', device: 'u2', local: hosts.h2.ip, vni: 100, remotes: [hosts.h1.ip] },
    ...{ ports: ['p2', 'p4'], mtu: 1500 },
  });
  const h1 = new Vtepd(lab, 'h1');
  await h1.start();
  await h1.apply(document(topology, wanted));
  return { topology, h1 };
}

const learned = async (h1: Vtepd): Promise<number> => (await h1.status()).counts.learned;

/** Frames from `count` MAC addresses, to an address that nobody has. */
async function sayHello(lab: Lab, ns: string, count: number): Promise<void> {
  const macs = Array.from({ length: count }, (_, at) => macOf(at + 1));
  const program = [
    'import socket, sys, time',
    's = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0))',
    'for mac in sys.argv[1:]:',
    '  own = bytes.fromhex(mac.replace(":", ""))',
    '  s.send(b"\\xff" * 6 + own + b"\\x88\\xb5" + bytes(46))',
    '  time.sleep(0.005)',
  ].join('\n');
  await lab.must(ns, '/usr/bin/python3', ['-c', program, ...macs]);
}

describeWith(['root', 'veth', 'vxlan', 'bridge', 'command:ping'], 'a network that learns', () => {
  const useWorld = useLab();

  it('finds addresses behind a VTEP that is no vtepd, and is found by it', async () => {
    const lab = useWorld();
    const { topology, h1 } = await world(lab);
    const { c1, c2, c4 } = topology.containers;
    for (const { ip } of [c2, c4]) {
      const pinged = await ping(lab, 'c1', ip, { wait: 3 });
      expect(pinged, pinged.text).toMatchObject({ received: 3, duplicates: 0 });
    }
    for (const reverse of [false, true]) {
      const path = { from: 'c1', to: 'c2', address: c2.ip };
      expect(await transfer(lab, path, { bytes: 2 << 20, reverse })).toMatchObject({ ok: true });
    }
    expect(await learned(h1)).toBe(2);
    expect(await learnedRemote(lab, 'h2', 'vx100', c1.mac)).toBe(topology.hosts.h1.ip);
    // Known now: what goes to c2 is no longer seen by c3, as what is flooded would be.
    const watcher = lab.spawn('c3', 'tcpdump', ['-nli', 'eth0', '--immediate-mode', 'icmp']);
    await watcher.waitFor(/listening on/);
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    await watcher.stop();
    expect(watcher.stdout.trim()).toBe('');
    h1.expectQuietLog();
  });

  it('forgets an address that is silent for the aging time, and keeps one in use', async () => {
    const lab = useWorld();
    const { topology, h1 } = await world(lab, { agingSeconds: 3 });
    const { c2, c4 } = topology.containers;
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    expect((await ping(lab, 'c1', c4.ip)).received).toBe(3);
    expect(await learned(h1)).toBe(2);
    // Neighbours ask after each other for some seconds; then c4 is silent.
    const busy = ping(lab, 'c1', c2.ip, { count: 75, interval: 0.2 });
    const one = async () => (await learned(h1)) === 1;
    await waitUntil(one, { timeoutMs: 14_000, everyMs: 200, what: 'c4 to be forgotten' });
    expect((await busy).received).toBe(75);
    expect(await learned(h1), 'c2 talks').toBe(1);
    await waitUntil(async () => (await learned(h1)) === 0, { what: 'c2 to be forgotten as well' });
    expect((await ping(lab, 'c1', c2.ip)).received, 'learned anew').toBe(3);
  });

  it('learns no more than the limit behind one port; the rest are learn_limit', async () => {
    const lab = useWorld();
    const { topology, h1 } = await world(lab, { limitPerPort: 5 });
    const { c1, c2 } = topology.containers;
    await sayHello(lab, 'c3', 12);
    await waitUntil(async () => (await learned(h1)) >= 5, { what: 'five addresses' });
    expect(await learned(h1)).toBe(5);
    const refused = async () => (await h1.dropped('learn_limit')) === 7;
    await waitUntil(refused, { what: 'the other seven to be dropped' });
    // The limit is c3's own: others are learned, and ports of the document work.
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    expect((await ping(lab, 'c3', c1.ip)).received).toBe(3);
    expect(await learned(h1)).toBe(6);
  });

  it('reaches an address that has moved at once, and without a duplicate', async () => {
    const lab = useWorld();
    const { topology, h1 } = await world(lab);
    const { c2 } = topology.containers;
    const guest = { mac: macOf(99), ip: '10.0.0.99' };
    const settle = async (ns: string) => {
      await lab.must(ns, 'ip', ['link', 'set', 'eth0', 'address', guest.mac]);
      await lab.must(ns, 'ip', ['addr', 'add', `${guest.ip}/24`, 'dev', 'eth0']);
    };
    await lab.must('c1', 'ip', [
      ...['neigh', 'replace', guest.ip, 'lladdr', guest.mac, 'dev', 'eth0', 'nud', 'permanent'],
    ]);
    await settle('c4');
    expect((await ping(lab, 'c1', guest.ip)).received).toBe(3);
    await lab.must('c4', 'ip', ['addr', 'flush', 'dev', 'eth0']);
    await lab.must('c4', 'ip', ['link', 'set', 'eth0', 'address', '02:00:00:00:00:04']);
    await settle('c3');
    // One frame from the new place, as a moved VM sends, and the next request gets there.
    await lab.must('c3', 'ping', ['-c', '1', '-W', '1', topology.containers.c1.ip]);
    const pinged = await ping(lab, 'c1', guest.ip, { count: 5 });
    expect(pinged, pinged.text).toMatchObject({ received: 5, duplicates: 0 });
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    h1.expectQuietLog();
  });

  it('never learns what the document knows, wherever it is claimed', async () => {
    const lab = useWorld();
    const { topology, h1 } = await world(lab);
    const { c1, c2 } = topology.containers;
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    const known = await learned(h1);
    await lab.must('c4', 'ip', ['link', 'set', 'eth0', 'address', c1.mac]);
    await lab.exec('c4', 'ping', ['-c', '3', '-i', '0.05', '-W', '1', c2.ip]);
    await lab.exec('c4', 'ping', ['-c', '2', '-i', '0.05', '-W', '1', '10.0.0.55']);
    expect(await learned(h1)).toBe(known);
    expect(await h1.dropped('wrong_network_vtep')).toBeGreaterThan(0);
    const back = await ping(lab, 'c3', c1.ip);
    expect(back, back.text).toMatchObject({ received: 3, duplicates: 0 });
  });
});
