// e2e/acl-reject.test.ts — an administrator's reject, as the programs that meet it see it.
//
// c1 and c2 on two hosts knock at c3, beside c1. What is rejected answers at once: TCP with a
// reset, the rest with an ICMP error, on one host and back through the tunnel; what is dropped is
// silent.

import { expect, it } from 'vitest';
import { parseDocument } from '../../src/model/parse.ts';
import { type Lab, useLab } from '../support/netns.ts';
import { describeWith } from '../support/requires.ts';
import { twoHosts } from '../support/topology.ts';
import { documentFor, startAll, Vtepd } from '../support/vtepd.ts';

const toC3 = { direction: 'ingress', securityGroups: ['app'] };
const acls = [
  { name: 'no-mail', priority: 20, action: 'reject', protocol: 'tcp', ports: '25', ...toC3 },
  { name: 'no-names', priority: 20, action: 'reject', protocol: 'udp', ports: '53', ...toC3 },
  { name: 'no-telnet', priority: 20, action: 'drop', protocol: 'tcp', ports: '23', ...toC3 },
  {
    ...{ name: 'no-web', priority: 20, action: 'reject', direction: 'egress' },
    ...{ protocol: 'tcp', ports: '80', securityGroups: ['web'] },
  },
];
const anything = [{ direction: 'egress' }, { direction: 'ingress' }];

/** What a client meets, and after how long: nobody listens anywhere. */
const knockScript = [
  'import socket, sys, time',
  'kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])',
  'family = socket.AF_INET6 if ":" in address else socket.AF_INET',
  's = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)',
  's.settimeout(2)',
  'begun = time.monotonic()',
  'try:',
  '  s.connect((address, port))',
  '  s.send(b"anyone?")',
  '  s.recv(10)',
  '  met = "an answer"',
  'except OSError as error:',
  '  met = "silence" if isinstance(error, TimeoutError) else error.__class__.__name__',
  'print(met, "at once" if time.monotonic() - begun < 1 else "late")',
].join('\n');

async function knock(lab: Lab, from: string, ...to: [kind: string, address: string, port: number]) {
  const words = to.map((word) => `${word}`);
  const { stdout } = await lab.exec(from, '/usr/bin/python3', ['-c', knockScript, ...words]);
  return stdout.trim();
}

describeWith(['root', 'veth'], 'an ACL that rejects', () => {
  const useWorld = useLab();

  it('answers TCP with a reset and UDP with an ICMP error, here and across hosts', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const daemons = [new Vtepd(lab, 'h1'), new Vtepd(lab, 'h2')] as const;
    const choice = { encap: 'geneve', underlay: 'ipv4', tenants: false } as const;
    const plain = parseDocument(documentFor(topology, choice), 'lab.yaml');
    const securityGroups = ['web', 'app'].map((name) => ({ name, rules: anything }));
    const groups: Record<string, string[]> = { c1: ['web'], c2: ['web'], c3: ['app'], c4: [] };
    const ports = plain.ports.map((port) => ({ ...port, securityGroups: groups[port.name] }));
    await startAll(daemons, JSON.stringify({ ...plain, securityGroups, acls, ports }));
    const { ip, ip6 } = topology.containers.c3;
    for (const from of ['c1', 'c2']) {
      for (const address of [ip, ip6]) {
        const refused = 'ConnectionRefusedError at once';
        expect(await knock(lab, from, 'tcp', address, 25), `${from} ${address}`).toBe(refused);
        expect(await knock(lab, from, 'udp', address, 53), `${from} ${address}`).toBe(refused);
        // Rejected where it leaves, before it comes to c3.
        expect(await knock(lab, from, 'tcp', address, 80), `${from} ${address}`).toBe(refused);
      }
    }
    expect(await knock(lab, 'c1', 'tcp', ip, 23)).toBe('silence late');
    expect(await knock(lab, 'c2', 'tcp', ip, 23)).toBe('silence late');
    // Nobody listens at 26 either, but that is c3's own answer.
    expect(await knock(lab, 'c2', 'tcp', ip, 26)).toBe('ConnectionRefusedError at once');
    const [h1, h2] = daemons;
    expect(await h1.dropped('acl_reject')).toBe(12 - 2);
    expect(await h2.dropped('acl_reject')).toBe(2);
    const why = await h1.ctl('why', 'last-drop', 'c3');
    expect(why).toContain('acls[no-telnet]');
    expect(await h1.ctl('drops')).toContain('acls[no-mail]');
    for (const daemon of daemons) daemon.expectQuietLog();
  });
});
