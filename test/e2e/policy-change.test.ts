// e2e/policy-change.test.ts — a change of policy under live TCP: kept, drained, reset; others lose
// nothing.
//
// c1 and c2, on two hosts, both talk to c3, on ports 8080 and 8081. The change takes 8081 away.

import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseDocument } from '../../src/model/parse.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';
import { twoHosts } from '../support/topology.ts';
import { type SteadyStream, steadyStream } from '../support/traffic.ts';
import { documentFor, startAll, Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

async function world(lab: Lab) {
  const topology = await twoHosts(lab);
  const daemons = [new Vtepd(lab, 'h1'), new Vtepd(lab, 'h2')] as const;
  const choice = { encap: 'geneve', underlay: 'ipv4', tenants: false } as const;
  const plain = parseDocument(documentFor(topology, choice), 'lab.yaml');
  const file = (allowed: string) => {
    const app = [{ direction: 'ingress', protocol: 'tcp', ports: allowed, remoteGroup: 'web' }];
    const securityGroups = [
      { name: 'web', rules: [{ direction: 'egress' }] },
      { name: 'app', rules: app },
    ];
    const groups: Record<string, string[]> = { c1: ['web'], c2: ['web'], c3: ['app'], c4: [] };
    const ports = plain.ports.map((port) => ({ ...port, securityGroups: groups[port.name] }));
    const path = lab.path(`net-${allowed}.yaml`);
    writeFileSync(path, JSON.stringify({ ...plain, securityGroups, ports }));
    return path;
  };
  await startAll(daemons);
  for (const daemon of daemons) await daemon.ctl('apply', '-f', file('8080-8081'));
  const address = topology.containers.c3.ip;
  const stays = await steadyStream(lab, { from: 'c1', to: 'c3', address, port: 8080 });
  const goes = await steadyStream(lab, { from: 'c2', to: 'c3', address, port: 8081 });
  const change = async (...options: string[]) => {
    const told = [];
    for (const one of daemons) told.push(await one.ctl('apply', '-f', file('8080'), ...options));
    return told.join('');
  };
  const [h1, h2] = daemons;
  const carried = async (port: number) => {
    const list: { destination: string; packets: number }[] = await h1.json('connections');
    return list.find(({ destination }) => destination === `${address}:${port}`)?.packets ?? 0;
  };
  return { lab, h1, h2, address, stays, goes, change, carried, file };
}

/** What a client meets. */
async function knock(lab: Lab, to: string, port: number): Promise<string> {
  const connect = `exec 3<>/dev/tcp/${to}/${port}`;
  const { code } = await lab.exec('c2', 'timeout', ['1.5', 'bash', '-c', connect]);
  return code === 124 ? 'silence' : 'answer';
}

async function expectUnharmed(stream: SteadyStream): Promise<void> {
  const steady = await stream.finish();
  expect(steady).toMatchObject({ ok: true, closedEarly: false });
  expect(steady.maxGapMs).toBeLessThan(1000);
}

/** What a client is told, whose connection was cut. */
const wasReset = { ok: false, error: 'read ECONNRESET' };

/** Resolves when the stream has been closed for it. */
async function ended(stream: SteadyStream, timeoutMs: number): Promise<void> {
  let over = false;
  void stream.process.exited.then(() => {
    over = true;
  });
  await waitUntil(() => over, { timeoutMs, what: 'the connection to be reset' });
}

describeWith(['root', 'veth'], 'a change of policy', () => {
  const useWorld = useLab();

  it('is told before: diff lists the live connections that it would cut', async () => {
    const { h1, h2, stays, goes, file, address, carried } = await world(useWorld());
    await waitUntil(async () => (await carried(8081)) > 3, { what: 'the exact entry' });
    const { changes, connections } = await h1.json('diff', '-f', file('8080'));
    expect(changes).toMatchObject([{ kind: 'securityGroups', name: 'app' }]);
    expect(connections).toMatchObject([
      {
        ...{ change: 'cut', canStay: true, drop: 'acl_reject' },
        connection: { protocol: 'tcp', destination: `${address}:8081`, state: 'established' },
        path: 'ports[c3].securityGroups',
      },
    ]);
    // The sender's host lets everything leave, now as before.
    expect((await h2.json('diff', '-f', file('8080'))).connections).toEqual([]);
    expect(await h1.ctl('diff', '-f', file('8080'))).toContain(`${address}:8081`);
    await expectUnharmed(stays);
    await expectUnharmed(goes);
  });

  it('resets, unless told otherwise, what it denies, at once, and nothing else', async () => {
    const { h1, stays, goes, change } = await world(useWorld());
    await change();
    // A reset, not a timeout: the client hears of it within moments.
    await ended(goes, 5000);
    expect(await goes.finish()).toMatchObject(wasReset);
    expect(await h1.dropped('acl_reject')).toBeGreaterThan(0);
    await expectUnharmed(stays);
    h1.expectQuietLog();
  });

  it('keeps live connections on request, but lets no new one in', async () => {
    const { lab, h1, stays, goes, change, address, carried } = await world(useWorld());
    expect(await change('--existing', 'keep')).toContain('1 connection that the document denies');
    expect(await knock(lab, address, 8081)).toBe('silence');
    const before = await carried(8081);
    await waitUntil(async () => (await carried(8081)) > before + 100, { what: 'more packets' });
    const list: { kept: boolean }[] = await h1.json('connections');
    expect(list.filter(({ kept }) => kept)).toHaveLength(1);
    await expectUnharmed(goes);
    await expectUnharmed(stays);
    await h1.expectQuietLog();
  });

  it('drains them for as long as it is told, then resets', async () => {
    const { stays, goes, change, carried } = await world(useWorld());
    await change('--existing', 'drain', '--drain-seconds', '2');
    const before = await carried(8081);
    await waitUntil(async () => (await carried(8081)) > before + 50, { what: 'more packets' });
    // The sweep looks at every connection each eight seconds.
    await ended(goes, 20_000);
    expect(await goes.finish()).toMatchObject(wasReset);
    await expectUnharmed(stays);
  });

  it('cuts what was kept when it is applied again with reset', async () => {
    const { stays, goes, change, carried } = await world(useWorld());
    await change('--existing', 'keep');
    const before = await carried(8081);
    await waitUntil(async () => (await carried(8081)) > before + 50, { what: 'more packets' });
    await change('--existing', 'reset');
    await ended(goes, 5000);
    expect(await goes.finish()).toMatchObject(wasReset);
    await expectUnharmed(stays);
  });
});
