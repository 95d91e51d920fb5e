// e2e/policy.test.ts — the three tiers of the examples between real network stacks.
//
// The groups and address sets are those of examples/three-tier.yaml; the tiers share one network
// here. c1 and c2 are web servers on two hosts, c3 is the application beside c1, c4 the database
// beside c2.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseDocument } from '../../src/model/parse.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';
import { type TwoHosts, twoHosts } from '../support/topology.ts';
import { datagrams, ping, steadyStream, transfer } from '../support/traffic.ts';
import { applyAll, documentFor, startAll, Vtepd } from '../support/vtepd.ts';

const example = join(import.meta.dirname, '../../examples/three-tier.yaml');
const groups = { c1: ['web'], c2: ['web'], c3: ['app'], c4: ['db'] };
type Groups = Record<keyof typeof groups, readonly string[]>;

/** The example's firewall around the usual containers, all in one network. */
function document(topology: TwoHosts, members: Groups = groups): string {
  const choice = { encap: 'geneve', underlay: 'ipv4', tenants: false } as const;
  const plain = parseDocument(documentFor(topology, choice), 'lab.yaml');
  const { securityGroups, addressSets } = parseDocument(readFileSync(example), example);
  const ports = plain.ports.map((port) => {
    return { ...port, securityGroups: members[port.name as keyof Groups] };
  });
  return JSON.stringify({ ...plain, securityGroups, addressSets, ports });
}

async function world(lab: Lab) {
  const topology = await twoHosts(lab);
  const daemons = [new Vtepd(lab, 'h1'), new Vtepd(lab, 'h2')] as const;
  const [h1, h2] = daemons;
  const apply = async (members?: Groups) => {
    await applyAll(daemons, document(topology, members));
  };
  await startAll(daemons, document(topology));
  const ip = (name: keyof Groups) => topology.containers[name].ip;
  return { lab, h1, h2, apply, ip };
}

/** What a TCP client meets where nobody listens: a refusal if packets pass, else silence. */
async function knock(lab: Lab, from: string, to: string, port: number): Promise<string> {
  const connect = `exec 3<>/dev/tcp/${to}/${port}`;
  const { code, stderr } = await lab.exec(from, 'timeout', ['1.5', 'bash', '-c', connect]);
  if (code === 124) return 'silence';
  return /refused/i.test(stderr) ? 'refused' : `${code} ${stderr}`;
}

describeWith(['root', 'veth'], 'security groups', () => {
  const useWorld = useLab();

  it('let each tier reach the next one, on its ports, on one host and across', async () => {
    const { lab, ip, h1, h2 } = await world(useWorld());
    const to = (from: string, name: keyof Groups, port: number) => {
      return { from, to: name, address: ip(name), port };
    };
    const allowed = [to('c1', 'c3', 8080), to('c2', 'c3', 8089), to('c3', 'c4', 5432)];
    for (const path of allowed) {
      for (const reverse of [false, true]) {
        const sent = await transfer(lab, path, { bytes: 4 << 20, reverse });
        expect(sent, JSON.stringify(path)).toMatchObject({ ok: true });
      }
    }
    // Anyone may reach the web, by IPv4 on 80 and 443, by IPv6 on 443 alone.
    expect(await knock(lab, 'c3', ip('c1'), 80)).toBe('refused');
    expect(await knock(lab, 'c3', 'fd00:10::1', 443)).toBe('refused');
    expect(await knock(lab, 'c3', 'fd00:10::1', 80)).toBe('silence');
    h1.expectQuietLog();
    h2.expectQuietLog();
  });

  it('deny what no rule allows, and count it by name', async () => {
    const { lab, ip, h1, h2 } = await world(useWorld());
    const denied = [
      ['c1', 'c2', 8080],
      ['c1', 'c2', 22],
      ['c1', 'c3', 22],
      ['c1', 'c3', 8090],
      ['c1', 'c4', 5432],
      ['c3', 'c1', 8080],
      // The database may begin nothing but with databases.
      ['c4', 'c3', 8080],
    ] as const;
    const met = denied.map(([from, to, port]) => knock(lab, from, ip(to), port));
    expect(await Promise.all(met)).toEqual(denied.map(() => 'silence'));
    expect((await ping(lab, 'c1', ip('c2'), { wait: 1 })).received).toBe(0);
    expect(await h1.dropped('acl_deny')).toBeGreaterThan(0);
    expect(await h2.dropped('acl_deny')).toBeGreaterThan(0);
    const trace = await h2.json(
      'trace',
      `in_port=c4,eth_src=02:00:00:00:00:04,eth_dst=02:00:00:00:00:03,eth_type=ip,` +
        `ip_src=${ip('c4')},ip_dst=${ip('c3')},ip_proto=tcp,tp_src=9,tp_dst=8080`,
    );
    expect(trace.drop).toBe('acl_deny');
    expect(trace.steps.at(-1)).toMatchObject({ stage: 'egress-policy', origin: 'port c4' });
  });

  it('follow a port that joins and leaves a group, and cut only what that forbids', async () => {
    const { lab, ip, apply } = await world(useWorld());
    const path = (from: string, port: number) => {
      return { from, to: 'c3', address: ip('c3'), port };
    };
    const stays = await steadyStream(lab, path('c1', 8080));
    const goes = await steadyStream(lab, path('c2', 8081));
    await apply({ ...groups, c2: [] });
    expect(await knock(lab, 'c2', ip('c3'), 8082)).toBe('silence');
    const cut = await goes.finish();
    expect(cut.ok && cut.maxGapMs < 1000, JSON.stringify(cut)).toBe(false);
    const steady = await stays.finish();
    expect(steady).toMatchObject({ ok: true, closedEarly: false });
    expect(steady.maxGapMs).toBeLessThan(1000);
    await apply();
    expect(await knock(lab, 'c2', ip('c3'), 8082)).toBe('refused');
  });

  it('let all fragments of a datagram pass, and errors with their cause', async () => {
    const { lab, ip, apply } = await world(useWorld());
    // Everyone is a web server now: egress is free, and ingress is closed but for the web.
    await apply({ ...groups, c3: ['web'], c4: [] });
    // Neighbours are known from here on: the kernel gives a datagram up when 64 fragments of others
    // come between its own, which those make that wait for an answer or for a first verdict.
    expect((await ping(lab, 'c1', ip('c4'))).received).toBe(3);
    const answered = await datagrams(
      lab,
      { from: 'c1', to: 'c4', address: ip('c4') },
      { size: 4000, count: 100, rate: 1000 },
    );
    expect(answered).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
    // Nobody listens there: the error comes back to the one who asked.
    const error = await lab.exec('c1', 'python3', ['-c', askNobody(ip('c4'))]);
    expect(error.stdout.trim()).toBe('refused');
    expect((await ping(lab, 'c4', ip('c1'), { wait: 1 })).received).toBe(0);
  });
});

function askNobody(address: string): string {
  return [
    'import socket',
    's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
    's.settimeout(3)',
    `s.connect(("${address}", 9))`,
    's.send(b"anyone?")',
    'try:',
    '  s.recv(10)',
    'except ConnectionRefusedError:',
    '  print("refused")',
  ].join('\n');
}
