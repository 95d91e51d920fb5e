// e2e/support.test.ts — the laboratory itself: namespaces, traffic and cleaning, before anything
// relies on them.
//
// The containers of the two hosts are joined by kernel bridges here, so a failure is the
// laboratory's own.

import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Lab, namespaceNames, sweep, useLab } from '../support/netns.ts';
import { alive, mustRun, runSync } from '../support/process.ts';
import { describeWith } from '../support/requires.ts';
import { adoptTap, twoHosts } from '../support/topology.ts';
import {
  datagramStream,
  datagrams,
  iperf,
  ping,
  steadyStream,
  transfer,
} from '../support/traffic.ts';
import { waitUntil } from '../support/wait.ts';

const lab = useLab();

/**
 * Joins c1 and c2 by bridging container ports and underlay on both hosts: a switch that is known
 * to work.
 */
async function bridged() {
  const net = await twoHosts(lab(), { containers: ['c1', 'c2'] });
  for (const [host, port, uplink] of [
    ['h1', 'p1', 'u1'],
    ['h2', 'p2', 'u2'],
  ]) {
    await lab().must(host, 'ip', ['link', 'add', 'br0', 'type', 'bridge']);
    for (const member of [port, uplink]) {
      await lab().must(host, 'ip', ['link', 'set', member, 'master', 'br0']);
    }
    await lab().must(host, 'ip', ['link', 'set', 'br0', 'up']);
  }
  return { net, path: { from: 'c1', to: 'c2', address: net.containers.c2.ip } };
}

describeWith(['root', 'veth', 'bridge', 'command:ping'], 'the laboratory', () => {
  test('a closed lab leaves no namespace, process or directory behind', async () => {
    const own = new Lab();
    await own.namespace('h1');
    const sleeper = own.spawn('h1', 'sleep', ['60']);
    const real = own.realName('h1');
    await sleeper.waitFor(() =>
      runSync('ip', ['netns', 'pids', real]).stdout.includes(`${sleeper.pid}`),
    );
    await own.close();
    expect(namespaceNames()).not.toContain(real);
    expect(alive(sleeper.pid)).toBe(false);
    expect(() => readdirSync(own.directory)).toThrow(/ENOENT/);
    await own.close();
  });

  test('undo runs in reverse order, all of it, and tells what failed', async () => {
    const own = new Lab();
    const order: number[] = [];
    own.onClose(() => order.push(1));
    own.onClose(() => {
      throw new Error('the second undo fails');
    });
    own.onClose(() => order.push(3));
    await own.namespace('h1');
    await expect(own.close()).rejects.toThrow(AggregateError);
    expect(order).toEqual([3, 1]);
    expect(namespaceNames().filter((name) => name.startsWith(own.prefix))).toEqual([]);
  });

  test('a sweep removes the namespace of a dead owner and spares that of a live one', async () => {
    await lab().namespace('h1');
    const dead = lab().spawnHere('true');
    await dead.exited;
    const leftover = `vtep-${dead.pid}-abcd-h1`;
    await mustRun('ip', ['netns', 'add', leftover]);
    sweep();
    expect(namespaceNames()).not.toContain(leftover);
    expect(namespaceNames()).toContain(lab().realName('h1'));
  });

  test('a stranger of a namespace is refused by name', () => {
    expect(() => lab().realName('h9')).toThrow('the lab has no namespace h9');
  });
});

describeWith(['root', 'veth', 'bridge', 'command:ping', 'command:iperf3'], 'traffic', () => {
  test('two hosts have an underlay of the asked version that works at its full MTU', async () => {
    const { hosts } = await twoHosts(lab(), { encapUnderlay: 'ipv6', containers: [] });
    const result = await ping(lab(), 'h1', hosts.h2.ip, { size: 1600 - 48, df: true });
    expect(result.received).toBe(result.sent);
    const tooLong = await ping(lab(), 'h1', hosts.h2.ip, { count: 1, size: 1553, df: true });
    expect(tooLong.received).toBe(0);
  });

  test('ping, iperf3 and streams of known content cross a switch that works', async () => {
    const { path } = await bridged();
    expect((await ping(lab(), 'c1', path.address)).received).toBe(3);
    expect((await iperf(lab(), path, { seconds: 1 })).gigabitPerSecond).toBeGreaterThan(0.1);
    const udp = await iperf(lab(), path, { seconds: 1, udp: true, bitrate: '10M' });
    expect(udp.packets).toBeGreaterThan(0);
    const sent = await transfer(lab(), path, { bytes: 5_000_001, seed: 7 });
    expect(sent).toMatchObject({ ok: true, bytes: 5_000_001, firstBad: -1 });
    const fetched = await transfer(lab(), path, { bytes: 5_000_001, seed: 7, reverse: true });
    expect(fetched).toMatchObject({ ok: true, sha256: sent.sha256 });
    const other = await transfer(lab(), path, { bytes: 5_000_001, seed: 8 });
    expect(other.sha256).not.toBe(sent.sha256);
  });

  test('datagrams are counted one by one', async () => {
    const { path } = await bridged();
    const result = await datagrams(lab(), path, { rate: 5000, count: 2000, size: 1000 });
    expect(result).toMatchObject({
      ...{ expected: 2000, received: 2000, lost: 0, duplicated: 0, reordered: 0, corrupted: 0 },
    });
  });

  test('a cut of the wire is seen as lost datagrams and as a stall of a connection', async () => {
    const { path } = await bridged();
    const udp = await datagramStream(lab(), path, { rate: 500, count: 100_000 });
    const tcp = await steadyStream(lab(), path);
    const before = performance.now();
    await lab().must('h1', 'ip', ['link', 'set', 'u1', 'down']);
    await waitUntil(() => performance.now() - before > 400, { what: 'the cut to last' });
    await lab().must('h1', 'ip', ['link', 'set', 'u1', 'up']);
    const connection = await tcp.finish();
    const counted = await udp.finish();
    expect(connection).toMatchObject({ ok: true, closedEarly: false });
    expect(connection.maxGapMs).toBeGreaterThan(300);
    expect(counted.lost).toBeGreaterThan(100);
    expect(counted.received + counted.lost).toBe(counted.expected);
    expect(counted.maxGapMs).toBeGreaterThan(300);
  });
});

describeWith(['root', 'tun', 'veth'], 'a tap that becomes a container', () => {
  test('has the name, the MAC and the addresses of eth0', async () => {
    const net = await twoHosts(lab(), { attach: 'tap', containers: ['c1'] });
    const { c1 } = net.containers;
    await lab().must('h1', 'ip', ['tuntap', 'add', 'dev', c1.port, 'mode', 'tap', 'vnet_hdr']);
    await adoptTap(lab(), c1);
    expect(await lab().hasLink('h1', c1.port)).toBe(false);
    const eth0 = (await lab().links('c1')).find((link) => link.ifname === 'eth0');
    expect(eth0).toMatchObject({ address: c1.mac, mtu: 1500 });
    expect((await ping(lab(), 'c1', c1.ip, { count: 1 })).received).toBe(1);
  });
});
