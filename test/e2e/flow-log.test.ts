// e2e/flow-log.test.ts — who talked to whom, how much and by which rule, for programs to read.
//
// As lines of JSON in a file, and as IPFIX to a collector on the other host, where tshark reads it.

import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseDocument } from '../../src/model/parse.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { eth } from '../support/packet.ts';
import { describeWith } from '../support/requires.ts';
import { type TwoHosts, twoHosts } from '../support/topology.ts';
import { steadyStream, transfer } from '../support/traffic.ts';
import { expectNoExpertErrors, tsharkFields } from '../support/tshark.ts';
import { documentFor, Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

const port = 4739;
const collector = [
  'import socket, sys',
  's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
  `s.bind(("0.0.0.0", ${port}))`,
  'print("ready", flush=True)',
  'while True:',
  '  print(s.recv(65535).hex(), flush=True)',
].join('\n');

interface Line {
  readonly verdict: string;
  readonly endReason: string;
  readonly destination: string;
  readonly destinationPort: number;
  readonly reply: boolean;
  readonly packets: number;
  readonly bytes: number;
  readonly end: string;
}

/** Whole lines of a log that grows. */
function linesOf(file: string): Line[] {
  const whole = (existsSync(file) ? readFileSync(file, 'utf8') : '').split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line));
}

/** What the records of these lines add up to. */
function sumOf(lines: readonly Line[]) {
  const packets = lines.reduce((sum, line) => sum + line.packets, 0);
  return { packets, bytes: lines.reduce((sum, line) => sum + line.bytes, 0) };
}

/** Destination port, firewall event and rule of each record that tshark finds, without a fault. */
async function readRows(stdout: string) {
  const messages = stdout.split('\n').filter((line) => /^[0-9a-f]{40,}$/.test(line));
  const frames = messages.map((hex) => {
    const frame = eth().ip({ src: '172.31.1.1', dst: '172.31.1.2' });
    return frame.udp({ src: 40_000, dst: port }).payload(Buffer.from(hex, 'hex')).build();
  });
  const options = { decodeAs: [`udp.port==${port},cflow`] };
  await expectNoExpertErrors(frames, options);
  const names = ['cflow.dstport', 'cflow.firewall_event', 'cflow.selector_name'] as const;
  const read = await tsharkFields(frames, [...names], options);
  return read.flatMap((one) =>
    one['cflow.dstport'].map((to, index) => {
      return [to, one['cflow.firewall_event'][index], one['cflow.selector_name'][index]];
    }),
  );
}

/** A firewall that lets these ports in, everywhere. */
function documentOf(topology: TwoHosts, ports: string): string {
  const choice = { encap: 'vxlan', underlay: 'ipv4', tenants: false } as const;
  const plain = parseDocument(documentFor(topology, choice), 'lab.yaml');
  const web = { direction: 'ingress', protocol: 'tcp', ports };
  const securityGroups = [{ name: 'web', rules: [web, { direction: 'egress' }] }];
  const all = plain.ports.map((one) => ({ ...one, securityGroups: ['web'] }));
  return JSON.stringify({ ...plain, securityGroups, ports: all });
}

const ports = [8080, 8081] as const;
const etherBytes = 14;

/** Has a container count what its stack sends to these ports, superpackets as one. */
function countSent(lab: Lab, container: string) {
  const counters = ports.map((to) => `counter p${to} {}`).join('; ');
  const rules = ports.map((to) => `tcp dport ${to} counter name p${to}`).join('; ');
  const chain = `chain out { type filter hook output priority 0; ${rules}; }`;
  return lab.must(container, 'nft', ['-f', '-'], {
    input: `table ip sent { ${counters}; ${chain}; }`,
  });
}

/** What it has sent to a port, in frames. */
async function sentTo(lab: Lab, container: string, to: number) {
  const args = ['-j', 'list', 'counter', 'ip', 'sent', `p${to}`];
  const { stdout } = await lab.must(container, 'nft', args);
  const found = JSON.parse(stdout).nftables.find((one: object) => 'counter' in one).counter;
  return { packets: found.packets, bytes: found.bytes + etherBytes * found.packets };
}

describeWith(['root', 'veth', 'command:tshark'], 'the flow log', () => {
  const useWorld = useLab();

  it('has connections and denials, with rule and counters, in a file and as IPFIX', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const file = lab.path('flows.ndjson');
    const sink = lab.spawn('h2', '/usr/bin/python3', ['-c', collector]);
    await sink.waitFor(/ready/);
    const to = topology.hosts.h2.ip;
    const flowLog = `{ file: ${file}, activeSeconds: 1, ipfix: { collector: "${to}:${port}" } }`;
    const h1 = new Vtepd(lab, 'h1', { config: [`flowLog: ${flowLog}`] });
    await h1.start();
    await h1.apply(documentOf(topology, '80-8080'));
    const address = topology.containers.c3.ip;
    const stream = await steadyStream(lab, { from: 'c1', to: 'c3', address, port: 8080 });
    const knock = `exec 3<>/dev/tcp/${address}/9000`;
    await lab.exec('c1', 'timeout', ['1', 'bash', '-c', knock]);

    const all = (what: Partial<Line>) =>
      linesOf(file).filter((line) =>
        Object.entries(what).every(([name, value]) => line[name as keyof Line] === value),
      );
    const find = (what: Partial<Line>) => all(what).at(-1);
    const active = { endReason: 'active', destinationPort: 8080, reply: false } as const;
    await waitUntil(() => sumOf(all(active)).packets > 50, { what: 'the live connection' });
    expect(find(active)).toMatchObject({
      ...{ verdict: 'allowed', source: topology.containers.c1.ip, destination: address },
      ...{ port: 'c1', protocol: 6, vni: 0, revision: 1, reason: '' },
      path: 'securityGroups[web].rules[0]',
    });
    // What is denied is told of when its flow goes, after ten seconds.
    const denied = { verdict: 'denied', destinationPort: 9000 } as const;
    await waitUntil(() => find(denied), { timeoutMs: 30_000, what: 'the denial' });
    expect(find(denied)).toMatchObject({ reason: 'acl_deny', rule: 'ingress-policy/c3/deny' });
    // The connection is cut: no record says that it goes on.
    await h1.apply(documentOf(topology, '80'));
    const cut = () => linesOf(file).findLast((line) => line.destinationPort === 8080);
    await waitUntil(() => cut()?.endReason !== 'active', { timeoutMs: 30_000, what: 'the end' });
    await stream.finish();

    const rows = await readRows(sink.stdout);
    expect(rows).toContainEqual(['9000', '3', 'ingress-policy/c3/deny']);
    const [, , rule] = rows.find(([to, event]) => to === '8080' && event === '5') ?? [];
    expect(rule).toContain('group web/ingress tcp 80-8080');
    expect(rows.filter(([to, event]) => to === '8080' && event === '2').length).toBeGreaterThan(0);
    expect((await h1.status()).flowLog).toMatchObject({ lost: 0 });
    await sink.stop();
    h1.expectQuietLog();
  });
});

describeWith(['root', 'veth', 'command:nft'], 'records of connections', () => {
  const useWorld = useLab();

  it('come when one ends and while one goes on, and add up to what was sent', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const file = lab.path('flows.ndjson');
    const flowLog = `flowLog: { file: ${file}, activeSeconds: 2, idleSeconds: 3 }`;
    const h1 = new Vtepd(lab, 'h1', { config: [flowLog] });
    await h1.start();
    await h1.apply(documentOf(topology, '8080-8081'));
    await countSent(lab, 'c1');
    const address = topology.containers.c3.ip;
    const path = { from: 'c1', to: 'c3', address };
    const long = await steadyStream(lab, { ...path, port: 8080 });
    const sent = (to: number) => {
      return linesOf(file).filter((line) => line.destinationPort === to && !line.reply);
    };
    expect(await transfer(lab, { ...path, port: 8081 })).toMatchObject({ ok: true });
    const over = performance.now();
    const ends = () => sent(8081).some(({ endReason }) => endReason === 'end');
    await waitUntil(ends, { what: 'the end of the short connection' });
    expect(performance.now() - over).toBeLessThan(3000);
    expect(sumOf(sent(8081))).toEqual(await sentTo(lab, 'c1', 8081));

    const active = () => sent(8080).filter(({ endReason }) => endReason === 'active').length;
    await waitUntil(() => active() >= 3, { timeoutMs: 20_000, what: 'three records of the long' });
    expect((await long.finish()).ok).toBe(true);
    const expected = await sentTo(lab, 'c1', 8080);
    await waitUntil(() => sumOf(sent(8080)).packets >= expected.packets, {
      what: `records of ${expected.packets} packets`,
    });
    expect(sumOf(sent(8080))).toEqual(await sentTo(lab, 'c1', 8080));
    expect(expected.packets).toBeGreaterThan(200);
    expect((await h1.status()).flowLog).toMatchObject({ lost: 0 });
    h1.expectQuietLog();
  });
});
