// e2e/flow-log.test.ts — who talked to whom, how much and by which rule, for programs to read.
//
// As lines of JSON in a file, and as IPFIX to a collector on the other host, where tshark reads it.

import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseDocument } from '../../src/model/parse.ts';
import { useLab } from '../support/netns.ts';
import { eth } from '../support/packet.ts';
import { describeWith } from '../support/requires.ts';
import { type TwoHosts, twoHosts } from '../support/topology.ts';
import { steadyStream } from '../support/traffic.ts';
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
  readonly state: string;
  readonly destination: string;
  readonly destinationPort: number;
  readonly reply: boolean;
  readonly packets: number;
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

    const lines = (): Line[] => {
      const whole = (existsSync(file) ? readFileSync(file, 'utf8') : '').split('\n').slice(0, -1);
      return whole.map((line) => JSON.parse(line));
    };
    const find = (what: Partial<Line>) =>
      lines().findLast((line) =>
        Object.entries(what).every(([name, value]) => line[name as keyof Line] === value),
      );
    const active = { state: 'active', destinationPort: 8080, reply: false } as const;
    await waitUntil(() => (find(active)?.packets ?? 0) > 50, { what: 'the live connection' });
    expect(find(active)).toMatchObject({
      ...{ verdict: 'allowed', source: topology.containers.c1.ip, destination: address },
      ...{ port: 'c1', protocol: 6, vni: 0, revision: 1, reason: '' },
      path: 'securityGroups[web].rules[0]',
    });
    // What is denied is told of when its flow goes, after ten seconds.
    const denied = { verdict: 'denied', destinationPort: 9000 } as const;
    await waitUntil(() => find(denied), { timeoutMs: 30_000, what: 'the denial' });
    expect(find(denied)).toMatchObject({ reason: 'acl_deny', rule: 'ingress-policy/c3/deny' });
    // The connection is cut, and so ends.
    await h1.apply(documentOf(topology, '80'));
    const ended = { state: 'ended', destinationPort: 8080 } as const;
    await waitUntil(() => find(ended), { timeoutMs: 30_000, what: 'the end' });
    expect(find(ended)?.packets).toBeGreaterThan(50);
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
