// e2e/why.test.ts — vtepctl why, drops and connections about real traffic between real stacks.
//
// c1 and c2 are web servers on two hosts, c3 is the application beside c1: the web may reach it on
// ports 8080 to 8089, and nobody may reach the web.

import { expect, it } from 'vitest';
import type { WhyPacket } from '../../src/control/switch-api.ts';
import { parseDocument } from '../../src/model/parse.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';
import { twoHosts } from '../support/topology.ts';
import { ping, steadyStream } from '../support/traffic.ts';
import { documentFor, startAll, Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

const rules = {
  web: [{ direction: 'egress' }],
  app: [{ direction: 'ingress', protocol: 'tcp', ports: '8080-8089', remoteGroup: 'web' }],
};

async function world(lab: Lab) {
  const topology = await twoHosts(lab);
  const [h1, h2] = [new Vtepd(lab, 'h1'), new Vtepd(lab, 'h2')];
  const choice = { encap: 'geneve', underlay: 'ipv4', tenants: false } as const;
  const plain = parseDocument(documentFor(topology, choice), 'lab.yaml');
  const securityGroups = Object.entries(rules).map(([name, list]) => ({ name, rules: list }));
  const groups: Record<string, string[]> = { c1: ['web'], c2: ['web'], c3: ['app'], c4: [] };
  const ports = plain.ports.map((port) => ({ ...port, securityGroups: groups[port.name] }));
  const document = JSON.stringify({ ...plain, securityGroups, ports });
  await startAll([h1, h2], document);
  const ip = (name: 'c1' | 'c2' | 'c3' | 'c4') => topology.containers[name].ip;
  return { lab, h1, h2, ip };
}

/** Tries to connect; what becomes of it is told by the switch. */
function knock(lab: Lab, from: string, to: string, port: number) {
  return lab.exec(from, 'timeout', ['1', 'bash', '-c', `exec 3<>/dev/tcp/${to}/${port}`]);
}

const ruleOf = ({ trace }: WhyPacket, stage: string) =>
  trace.steps.find((step) => step.stage === stage)?.path;

describeWith(['root', 'veth'], 'vtepctl why', () => {
  const useWorld = useLab();

  it('explains a live connection on both hosts: rule, place, revision, counters', async () => {
    const { lab, h1, h2, ip } = await world(useWorld());
    const path = { from: 'c2', to: 'c3', address: ip('c3'), port: 8081 };
    const stream = await steadyStream(lab, path);
    const about = ['tcp', ip('c2'), `${ip('c3')}:8081`] as const;
    for (const daemon of [h1, h2]) {
      const known = async () => {
        const { code, stdout } = await daemon.tryCtl('why', ...about, '-o', 'json');
        return code === 0 && JSON.parse(stdout).packets.length === 2 ? stdout : undefined;
      };
      const found = await waitUntil(known, { what: 'both directions' });
      const { packets, revision } = JSON.parse(found ?? '{}');
      expect(revision).toBe(1);
      for (const packet of packets) {
        expect(packet).toMatchObject({
          ...{ source: 'connection', state: 'established', drop: '', agrees: true },
          decidedRevision: 1,
        });
        expect(packet.packets).toBeGreaterThan(0);
      }
      const stage = daemon === h1 ? 'ingress-policy' : 'egress-policy';
      const group = daemon === h1 ? 'app' : 'web';
      expect(ruleOf(packets[0], stage)).toBe(`securityGroups[${group}].rules[0]`);
    }
    const [connection] = await h1.json('connections', '--port', 'u1');
    expect(connection).toMatchObject({ protocol: 'tcp', destination: `${ip('c3')}:8081` });
    expect(await h1.ctl('why', ...about)).toContain('securityGroups[app].rules[0]');
    expect(await stream.finish()).toMatchObject({ ok: true, closedEarly: false });
  });

  it('explains a real dropped packet at sender and receiver, and what was near', async () => {
    const { lab, h1, h2, ip } = await world(useWorld());
    await knock(lab, 'c2', ip('c3'), 8090);
    const { packets } = await h1.json('why', 'last-drop', 'c3');
    expect(packets).toMatchObject([
      {
        ...{ source: 'drop', drop: 'acl_deny', agrees: true },
        decidedBy: 'ingress-policy/c3/deny',
        trace: {
          revision: 1,
          nearest: {
            path: 'securityGroups[app].rules[0]',
            differs: ['port is 8090, not 8080-8089'],
          },
        },
      },
    ]);
    expect(Buffer.from(packets[0].packet, 'base64').length).toBeGreaterThanOrEqual(74);
    const text = await h1.ctl('why', 'tcp', ip('c2'), `${ip('c3')}:8090`);
    expect(text).toContain(`${ip('c3')}:8090 tcp syn`);
    expect(text).toContain('port is 8090, not 8080-8089');
    // c3 may begin nothing: that ends at its own host.
    await knock(lab, 'c3', ip('c2'), 80);
    expect(await h1.ctl('why', 'last-drop', 'c3')).toContain('egress-policy/c3/deny');
    const none = await h2.tryCtl('why', 'last-drop', 'c2');
    expect([none.code, none.stderr]).toEqual([5, expect.stringContaining('port c2 is known')]);
  });

  it('counts drops by reason, port and rule, with a recent packet of each', async () => {
    const { lab, h1, ip } = await world(useWorld());
    await Promise.all([knock(lab, 'c1', ip('c3'), 22), knock(lab, 'c2', ip('c3'), 22)]);
    await ping(lab, 'c3', ip('c1'), { count: 2, wait: 1 });
    const drops = await h1.json('drops');
    const denied = drops.find((drop: { reason: string }) => drop.reason === 'acl_deny');
    const told = denied.rules.map(({ port, rule, packets, recent }: Record<string, unknown>) => {
      return [port, rule, Number(packets) > 0, recent !== null];
    });
    expect(told.sort()).toEqual([
      ['c1', 'ingress-policy/c3/deny', true, true],
      ['c3', 'egress-policy/c3/deny', true, true],
      ['uplink', 'ingress-policy/c3/deny', true, true],
    ]);
    const sum = denied.rules.reduce((all: number, one: { packets: number }) => {
      return all + one.packets;
    }, 0);
    expect(sum).toBe(denied.packets);
    expect(await h1.ctl('drops', '--port', 'c1')).toContain(`${ip('c3')}:22 tcp syn`);
  });

  it('audits live entries and finds none that is wrong', async () => {
    const { lab, h1, ip } = await world(useWorld());
    const stream = await steadyStream(lab, {
      ...{ from: 'c1', to: 'c3', address: ip('c3'), port: 8080 },
    });
    const audited = async () => (await h1.status()).audit.audited >= 4;
    await waitUntil(audited, { what: 'the audit' });
    expect((await h1.status()).audit.mismatches).toBe(0);
    const url = 'http://vtepd/metrics';
    const { stdout } = await lab.exec('h1', 'curl', ['-s', '--unix-socket', h1.socket, url]);
    expect(stdout).toMatch(/^vtepd_audited_entries_total [1-9]/m);
    expect(stdout).toMatch(/^vtepd_audit_mismatches_total 0$/m);
    expect(await stream.finish()).toMatchObject({ ok: true });
    h1.expectQuietLog();
  });

  it('says what is wrong with a question, and what to ask instead', async () => {
    const { h1 } = await world(useWorld());
    const cases: [string[], number, string][] = [
      [['last-drop', 'nosuch'], 5, 'there is no port or device nosuch here'],
      [['tcp', '10.0.0.1:99999', '10.0.0.2'], 2, '"99999" of "10.0.0.1:99999" is no port'],
      [['4711'], 5, 'there is no flow 4711'],
      [['tcp', '10.9.9.9', '10.0.0.2'], 5, 'no packet of tcp 10.9.9.9 10.0.0.2 is known'],
    ];
    for (const [words, code, message] of cases) {
      const answer = await h1.tryCtl('why', ...words);
      expect([answer.code, answer.stderr]).toEqual([code, expect.stringContaining(message)]);
      expect(answer.stderr.trim().split('\n').length).toBeGreaterThan(1);
    }
  });
});
