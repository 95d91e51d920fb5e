// e2e/devices.test.ts — devices that are missing, come late, go, and come back; the others go on.

import { expect, it } from 'vitest';
import type { Lab } from '../support/netns.ts';
import { useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';
import { type Container, twoHosts } from '../support/topology.ts';
import { ping, steadyStream, transfer } from '../support/traffic.ts';
import { documentFor, startBoth, Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

const choice = { encap: 'vxlan', underlay: 'ipv4', tenants: false } as const;
/** Devices that are missing are looked for each second, the others every five. */
const pickUpMaxMs = 8000;

async function plugIn(lab: Lab, one: Container): Promise<void> {
  await lab.veth(
    {
      ...{ ns: one.ns, name: 'eth0', mac: one.mac, mtu: one.mtu },
      ip: [`${one.ip}/${one.prefix}`, `${one.ip6}/64`],
    },
    { ns: one.host, name: one.port, mtu: one.mtu },
  );
}

function untilActive(h1: Vtepd, port: string) {
  return waitUntil(async () => (await h1.json('get', 'port', port)).state === 'active', {
    timeoutMs: pickUpMaxMs,
    what: `port ${port} to be active`,
  });
}

describeWith(['root', 'veth', 'command:ping'], 'devices', () => {
  const useWorld = useLab();

  it('that are missing are named, stop no others, and are taken when they appear', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab, { containers: ['c1', 'c2'] });
    await lab.namespace('c3');
    const { h1, h2 } = await startBoth(lab, topology, choice);
    const { c1, c2, c3 } = topology.containers;
    const waiting = await h1.json('get', 'port', 'c3');
    expect(waiting).toMatchObject({ state: 'waiting', why: expect.stringMatching(/p3/) });
    expect((await h1.status()).warnings.join()).toMatch(/p3/);
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    await plugIn(lab, c3);
    await untilActive(h1, 'c3');
    expect((await ping(lab, 'c3', c1.ip)).received).toBe(3);
    expect((await ping(lab, 'c2', c3.ip)).received).toBe(3);
    expect((await h1.status()).warnings.join()).not.toMatch(/p3/);
    h1.expectQuietLog();
    h2.expectQuietLog();
  });

  it('that are deleted and made again are taken again, while others go on', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h1 } = await startBoth(lab, topology, choice);
    const { c1, c2, c3 } = topology.containers;
    const stream = await steadyStream(lab, { from: 'c3', to: 'c2', address: c2.ip });
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    await lab.must('h1', 'ip', ['link', 'del', 'p1']);
    const gone = async () => (await h1.json('get', 'port', 'c1')).state === 'waiting';
    await waitUntil(gone, { timeoutMs: pickUpMaxMs, what: 'c1 to be known as gone' });
    await plugIn(lab, c1);
    await untilActive(h1, 'c1');
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    const path = { from: 'c1', to: 'c3', address: c3.ip };
    expect(await transfer(lab, path, { bytes: 1 << 20 })).toMatchObject({ ok: true });
    expect(await stream.finish()).toMatchObject({ ok: true, closedEarly: false });
  });

  it('that are deleted and made again between two looks are taken again', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h1 } = await startBoth(lab, topology, choice);
    const { c1, c2 } = topology.containers;
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    await lab.must('h1', 'ip', ['link', 'del', 'p1']);
    await plugIn(lab, c1);
    const talks = async () => (await ping(lab, 'c1', c2.ip, { wait: 1 })).received === 3;
    await waitUntil(talks, { timeoutMs: pickUpMaxMs, what: 'c1 to talk again' });
    expect((await h1.json('get', 'port', 'c1')).state).toBe('active');
  });

  it('that go down and up again go on', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h1 } = await startBoth(lab, topology, choice);
    const { c2 } = topology.containers;
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    await lab.must('h1', 'ip', ['link', 'set', 'p1', 'down']);
    expect(await h1.json('get', 'port', 'c1')).toMatchObject({
      ...{ state: 'partial', why: expect.stringMatching(/p1 is down/) },
    });
    await lab.must('h1', 'ip', ['link', 'set', 'p1', 'up']);
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    expect((await h1.json('get', 'port', 'c1')).state).toBe('active');
  });

  it('of the underlay may be made again, with their address, and tunnels go on', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h2 } = await startBoth(lab, topology, choice);
    const { c2, c3 } = topology.containers;
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    await lab.must('h1', 'ip', ['link', 'del', 'u1']);
    expect((await ping(lab, 'c1', c3.ip)).received, 'on one host').toBe(3);
    const { hosts } = topology;
    await lab.veth(
      { ns: 'h1', name: 'u1', mac: hosts.h1.mac, mtu: 1600, ip: '172.31.1.1/24' },
      { ns: 'h2', name: 'u2', mac: hosts.h2.mac, mtu: 1600, ip: '172.31.1.2/24' },
    );
    const talks = async () => (await ping(lab, 'c1', c2.ip, { wait: 1 })).received === 3;
    await waitUntil(talks, { timeoutMs: 2 * pickUpMaxMs, what: 'c1 to reach c2 again' });
    expect((await h2.json('get', 'port', 'c2')).state).toBe('active');
  });

  it('that another network namespace took are known as gone, and taken back', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab, { containers: ['c1', 'c3'] });
    const h1 = new Vtepd(lab, 'h1');
    await h1.start();
    await h1.apply(documentFor(topology, choice));
    expect((await ping(lab, 'c1', topology.containers.c3.ip)).received).toBe(3);
    await lab.must('h1', 'ip', ['link', 'set', 'p1', 'netns', lab.realName('c3')]);
    const gone = async () => (await h1.json('get', 'port', 'c1')).state === 'waiting';
    await waitUntil(gone, { timeoutMs: pickUpMaxMs, what: 'p1 to be known as gone' });
    await lab.must('c3', 'ip', ['link', 'set', 'p1', 'netns', lab.realName('h1')]);
    await lab.must('h1', 'ip', ['link', 'set', 'p1', 'up']);
    await untilActive(h1, 'c1');
    expect((await ping(lab, 'c1', topology.containers.c3.ip)).received).toBe(3);
  });
});
