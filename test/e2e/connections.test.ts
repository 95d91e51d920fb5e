// e2e/connections.test.ts — what firewalls that track connections trip over: SYNs from both sides,
// and connections on which nobody speaks.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { type Lab, useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';
import { ip, ip6, type Name, twoSubnets } from '../support/two-subnets.ts';
import type { Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

const python = '/usr/bin/python3';
const script = (name: string) =>
  fileURLToPath(new URL(`../support/traffic/${name}`, import.meta.url));

/** Ports without rules of a group may neither begin nor receive anything. */
const groups = (rules: string) => `securityGroups:
  - { name: one, rules: [${rules}] }
  - { name: other, rules: [] }`;

interface Outcome {
  connected: number;
  echoed: number;
}

/** Both containers connect to each other, again and again, at the same moments. */
async function bothConnect(lab: Lab, left: Name, right: Name, tries = 40): Promise<Outcome[]> {
  const { stdout } = await lab.must(left, python, ['-c', 'import time; print(time.monotonic())']);
  const at = String(Number(stdout) + 1);
  const end = async (from: Name, to: Name) => {
    const args = [script('both_syn.py'), ip(from), ip(to), '7000', String(tries), at];
    const done = await lab.must(from, python, args, { timeout: 60_000 });
    return JSON.parse(done.stdout) as Outcome;
  };
  return Promise.all([end(left, right), end(right, left)]);
}

describeWith(['root', 'veth'], 'TCP that both sides open at once', () => {
  const useWorld = useLab();

  for (const [place, peer] of [
    ['on one host', 'c3'],
    ['across hosts', 'c4'],
  ] as const) {
    it(`connects when both sides may begin, ${place}`, async () => {
      const rules = '{ direction: egress }, { direction: ingress, protocol: tcp }';
      const { lab } = await twoSubnets(useWorld(), {
        more: groups(rules),
        port: () => ', securityGroups: [one]',
      });
      for (const { connected, echoed } of await bothConnect(lab, 'c1', peer)) {
        expect(connected).toBeGreaterThan(0);
        expect(echoed).toBe(connected);
      }
    });

    it(`connects when one side may begin, and not when neither may, ${place}`, async () => {
      const one = (to: Name) => ({
        more: groups(`{ direction: egress, protocol: tcp, remote: ${ip(to)}/32 }`),
        port: (name: Name) => `, securityGroups: [${name === 'c1' ? 'one' : 'other'}]`,
      });
      const { lab, apply } = await twoSubnets(useWorld(), {
        ...one(peer),
        more: `securityGroups:
  - { name: one, rules: [{ direction: egress, protocol: tcp }] }
  - { name: other, rules: [{ direction: ingress, protocol: tcp, remote: ${ip('c1')}/32 }] }`,
      });
      for (const { connected, echoed } of await bothConnect(lab, 'c1', peer)) {
        expect(connected).toBeGreaterThan(0);
        expect(echoed).toBe(connected);
      }
      await apply(one(peer));
      for (const outcome of await bothConnect(lab, 'c1', peer, 10)) {
        expect(outcome).toEqual({ connected: 0, echoed: 0 });
      }
    });
  }
});

/** A connection between two containers; each of them can be made to speak. */
async function idleConnection(lab: Lab, from: Name, to: Name, address: string, port: number) {
  const server = lab.spawn(to, python, [script('idle.py'), 'serve', String(port)]);
  await server.waitFor(/ready/);
  const client = lab.spawn(from, python, [script('idle.py'), 'connect', address, String(port)]);
  await client.waitFor(/ready/);
  return { client, server };
}

describeWith(['root', 'veth'], 'a TCP connection on which nobody speaks', () => {
  const useWorld = useLab();
  /** Flows go when they are idle for ten seconds; then they are looked for. */
  const idleMaxMs = 13_000;
  const served = (ports: string) => ({
    more: groups(`{ direction: ingress, protocol: tcp, ports: ${ports} }`),
    port: (name: Name) => (name === 'c4' ? ', securityGroups: [one]' : ''),
  });

  /** Three connections to c4, on 9000 to 9002, whose flows have gone. */
  async function silent(lab: Lab, h2: Vtepd) {
    const four = await idleConnection(lab, 'c1', 'c4', ip('c4'), 9000);
    const six = await idleConnection(lab, 'c1', 'c4', ip6('c4'), 9001);
    const beside = await idleConnection(lab, 'c2', 'c4', ip('c4'), 9002);
    const flows = async () => {
      const list: { match: string }[] = await h2.json('flows');
      return list.filter(({ match }) => /tcp|ip_proto=6/.test(match)).length;
    };
    expect(await flows()).toBeGreaterThan(0);
    const gone = async () => (await flows()) === 0;
    await waitUntil(gone, { timeoutMs: idleMaxMs, everyMs: 500, what: 'the flows to go' });
    return { four, six, beside };
  }

  it('is listed and goes on for whoever speaks first, though its flows have gone', async () => {
    const { lab, h2 } = await twoSubnets(useWorld(), served('9000-9009'));
    const { four, six } = await silent(lab, h2);
    const list: { state: string }[] = await h2.json('connections');
    expect(list.filter(({ state }) => state === 'established')).toHaveLength(3);
    // The server's own words need the connection: no rule lets it begin anything.
    four.server.write('speak\n');
    await four.client.waitFor(/heard hello/);
    six.client.write('speak\n');
    await six.server.waitFor(/heard hello/);
    await six.client.waitFor(/heard echo/);
    expect(await h2.dropped('acl_deny')).toBe(0);
    expect(await h2.dropped('connection_invalid')).toBe(0);
  });

  it('is forgotten by the datapath that goes on when a new vtepd wants shorter times', async () => {
    const { lab, h2 } = await twoSubnets(useWorld(), served('9000-9009'));
    const { server } = await idleConnection(lab, 'c1', 'c4', ip('c4'), 9000);
    const established = async () => {
      const list: { state: string }[] = await h2.json('connections');
      return list.filter(({ state }) => state === 'established').length;
    };
    expect(await established()).toBe(1);
    const { datapathPid } = h2;
    await h2.stop();
    const text = readFileSync(h2.configFile, 'utf8');
    const times = text.replace(/^datapath: \{/m, '$& timeouts: { tcp: { established: 5 } },');
    expect(times).not.toBe(text);
    writeFileSync(h2.configFile, times);
    await h2.start();
    expect(h2.datapathPid).toBe(datapathPid);
    // Five seconds, and a round of the sweep.
    const gone = async () => (await established()) === 0;
    await waitUntil(gone, { timeoutMs: 20_000, what: 'the connection to be forgotten' });
    // No rule lets the server begin anything.
    server.write('speak\n');
    await waitUntil(async () => (await h2.dropped('acl_deny')) > 0, { what: 'the denial' });
  });

  it('is cut with a reset to both ends, who need not speak', async () => {
    const { lab, h2, apply } = await twoSubnets(useWorld(), served('9000-9009'));
    const { four, six, beside } = await silent(lab, h2);
    await apply(served('9002'), '--existing', 'reset');
    for (const end of [four.client, four.server, six.client, six.server]) {
      await end.waitFor(/closed: Connection reset by peer/, { timeoutMs: 5000 });
    }
    // The other one goes on.
    beside.client.write('speak\n');
    await beside.client.waitFor(/heard echo/);
  });

  it('is kept on request, and drained to the second, with a reset to both ends', async () => {
    const { lab, h2, apply } = await twoSubnets(useWorld(), served('9000-9009'));
    const { four, six, beside } = await silent(lab, h2);
    await apply(served('9002'), '--existing', 'drain', '--drain-seconds', '2');
    four.client.write('speak\n');
    await four.client.waitFor(/heard echo/);
    for (const end of [four.client, four.server, six.client, six.server]) {
      await end.waitFor(/closed: Connection reset by peer/, { timeoutMs: 5000 });
    }
    await apply(served('9009'), '--existing', 'keep');
    beside.client.write('speak\n');
    await beside.client.waitFor(/heard echo/);
  });
});
