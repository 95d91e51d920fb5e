// switch/policy.test.ts — firewalls with real connection tracking: packets in, packets out, why.
//
// web and app are on this host, a second web server and an open port on another. What passes and
// what ends, by which reason, and which flows and exact entries carry it.

import { afterEach, describe, expect, test } from 'vitest';
import { toHex } from '../support/bytes.ts';
import { Judge } from '../support/judge.ts';
import { ModelSwitch, uplink } from '../support/model-switch.ts';
import { eth, expectPacket, type Packet, packet } from '../support/packet.ts';
import { firstLack } from '../support/requires.ts';

const judge = new Judge();
const open: ModelSwitch[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.end();
});

const mac = (last: number) => `02:00:00:00:00:${last.toString(16).padStart(2, '0')}`;
const ip = (last: number) => `10.0.0.${last}`;
const ip6 = (last: number) => `fd00:10::${last}`;

const rules = {
  web: ['{ direction: ingress, protocol: tcp, ports: 80-443 }', '{ direction: egress }'],
  app: [
    '{ direction: ingress, protocol: tcp, ports: 8080-8089, remoteGroup: web }',
    '{ direction: ingress, protocol: udp, ports: 53, remoteGroup: web }',
    '{ direction: ingress, protocol: icmp, icmpType: 8, remoteGroup: web }',
    '{ direction: ingress, protocol: icmpv6, icmpType: 128, remoteGroup: web }',
  ],
};

interface Choice {
  web?: readonly string[];
  app?: readonly string[];
  stateful?: boolean;
  /** Groups of port 3, the second one on this host that is no app. */
  third?: string;
  more?: string;
}

function tiers({ web = rules.web, app = rules.app, third, more, ...rest }: Choice = {}): string {
  const stateful = `stateful: ${rest.stateful ?? true}`;
  const port = (last: number, groups: string, host = 'h1') =>
    `  - { name: c${last}, network: blue, mac: "${mac(last)}", ` +
    `ips: [${ip(last)}, "${ip6(last)}"], host: ${host}, device: c${last}, ` +
    `securityGroups: [${groups}] }`;
  return `
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }, { name: h2, tunnelIp: 172.31.1.2 }]
networks: [{ name: blue, vni: 100 }, { name: red, vni: 200 }]
securityGroups:
  - { name: web, ${stateful}, rules: [${web.join(', ')}] }
  - { name: app, ${stateful}, rules: [${app.join(', ')}] }
ports:
${port(1, 'web')}
${port(2, 'app')}
${port(3, third ?? '')}
${port(4, 'web', 'h2')}
${port(5, '', 'h2')}
${more ?? ''}
`;
}

function model(yaml: string): ModelSwitch {
  const one = new ModelSwitch(yaml);
  open.push(one);
  return one;
}

/** An IPv4 packet from one port to another, by their numbers; what is inside it follows. */
const way = (from: number, to: number, fields: Parameters<Packet['ip']>[0] = {}) =>
  eth({ src: mac(from), dst: mac(to) }).ip({ src: ip(from), dst: ip(to), ...fields });
const tcp = (from: number, to: number, ports: readonly [number, number], flags: string) =>
  way(from, to).tcp({ src: ports[0], dst: ports[1], flags }).payload(20).build();
const udp = (from: number, to: number, ports: readonly [number, number]) =>
  way(from, to).udp({ src: ports[0], dst: ports[1] }).payload(20).build();

/** The same as it comes out of the tunnel from h2. */
const tunnelled = (inner: Uint8Array, vni = 100) =>
  eth()
    .ip({ src: '172.31.1.2', dst: '172.31.1.1' })
    .udp({ src: 50_000, dst: 4789 })
    .vxlan(vni)
    .carry(packet().raw(inner))
    .build();

const out = [40_000, 8080] as const;
const back = [8080, 40_000] as const;

function handshake(one: ModelSwitch): string[] {
  return [
    one.fate('c1', tcp(1, 2, out, 'S')),
    one.fate('c2', tcp(2, 1, back, 'SA')),
    one.fate('c1', tcp(1, 2, out, 'A')),
    one.fate('c2', tcp(2, 1, back, 'PA')),
  ];
}

describe('a stateful firewall on one host', () => {
  test('lets a connection that a rule allows begin, and its replies pass', () => {
    const one = model(tiers());
    expect(handshake(one)).toEqual(['c2', 'c1', 'c2', 'c1']);
    // Established both ways: two packets more make the exact entries, the next ones hit them.
    for (const turn of [1, 2, 3]) {
      expect(one.fate('c1', tcp(1, 2, out, 'A')), `${turn}`).toBe('c2');
      expect(one.fate('c2', tcp(2, 1, back, 'A')), `${turn}`).toBe('c1');
    }
    expect(one.worker()).toMatchObject({ connections: 1 });
    expect(one.worker().exact_hits).toBeGreaterThanOrEqual(4);
    const upcalls = one.slowPath.counts.upcalls;
    // The next client of the same kind needs no question at all.
    const next = [40_001, 8080] as const;
    expect(one.fate('c1', tcp(1, 2, next, 'S'))).toBe('c2');
    expect(one.fate('c2', tcp(2, 1, [8080, 40_001], 'SA'))).toBe('c1');
    expect(one.slowPath.counts.upcalls).toBe(upcalls);
    expect(one.worker().connections).toBe(2);
  });

  test('denies what no rule allows: other ports, other sides, the other direction', () => {
    const one = model(tiers());
    expect(one.fate('c1', tcp(1, 2, [40_000, 22], 'S'))).toBe('acl_deny');
    expect(one.fate('c1', tcp(1, 2, [40_000, 8079], 'S'))).toBe('acl_deny');
    expect(one.fate('c1', tcp(1, 2, [40_000, 8090], 'S'))).toBe('acl_deny');
    expect(one.fate('c3', tcp(3, 2, out, 'S'))).toBe('acl_deny');
    expect(one.fate('c2', tcp(2, 1, [40_000, 80], 'S'))).toBe('acl_deny');
    expect(one.fate('c2', tcp(2, 3, [40_000, 80], 'S'))).toBe('acl_deny');
    expect(one.fate('c1', tcp(1, 3, [40_000, 22], 'S'))).toBe('c3');
    expect(one.worker().connections).toBe(1);
  });

  test('drops what fits no connection, by that name', () => {
    const one = model(tiers());
    expect(one.fate('c1', tcp(1, 2, out, 'SA'))).toBe('connection_invalid');
    expect(one.fate('c1', tcp(1, 2, out, 'R'))).toBe('connection_invalid');
    expect(one.fate('c2', way(2, 1).echo({ reply: true }).build())).toBe('connection_invalid');
  });

  test('lets UDP answers pass, and ends unasked ones', () => {
    const one = model(tiers());
    expect(one.fate('c2', udp(2, 1, [53, 5000]))).toBe('acl_deny');
    expect(one.fate('c1', udp(1, 2, [5000, 53]))).toBe('c2');
    expect(one.fate('c2', udp(2, 1, [53, 5000]))).toBe('c1');
    expect(one.fate('c2', udp(2, 1, [53, 5001]))).toBe('acl_deny');
  });

  test('lets echo answers and errors about a connection pass, and no others', () => {
    const one = model(tiers());
    expect(one.fate('c1', way(1, 2).echo({ id: 7 }).build())).toBe('c2');
    expect(one.fate('c2', way(2, 1).echo({ id: 7, reply: true }).build())).toBe('c1');
    expect(one.fate('c2', way(2, 1).echo({ id: 8, reply: true }).build())).toBe(
      'connection_invalid',
    );
    expect(one.fate('c2', way(2, 1).echo({ id: 7 }).build())).toBe('acl_deny');
    const error = (quoted: Uint8Array) =>
      way(2, 1).icmp({ type: 3, code: 3 }).raw(quoted.subarray(14)).build();
    expect(one.fate('c2', error(udp(1, 2, [5000, 53])))).toBe('connection_invalid');
    one.fate('c1', udp(1, 2, [5000, 53]));
    expect(one.fate('c2', error(udp(1, 2, [5000, 53])))).toBe('c1');
  });

  test('does the same for IPv6, and lets neighbours find each other', () => {
    const one = model(tiers());
    const six = (from: number, to: number) =>
      eth({ src: mac(from), dst: mac(to) }).ip6({ src: ip6(from), dst: ip6(to), hopLimit: 255 });
    expect(one.fate('c1', six(1, 2).echo6().build())).toBe('c2');
    expect(one.fate('c2', six(2, 1).echo6({ reply: true }).build())).toBe('c1');
    expect(one.fate('c2', six(2, 1).echo6().build())).toBe('acl_deny');
    const asked = six(2, 1).neighborSolicit({ target: ip6(1), mac: mac(2) });
    expect(one.fate('c2', asked.build())).toBe('c1');
    const router = six(1, 2).icmp6({ type: 134 }).raw(new Uint8Array(8));
    expect(one.fate('c1', router.build())).toBe('acl_deny');
  });

  test('lets DHCP clients ask, and nobody play the server', () => {
    const one = model(tiers({ app: [] }));
    const asked = eth({ src: mac(2), dst: 'ff:ff:ff:ff:ff:ff' })
      .ip({ src: '0.0.0.0', dst: '255.255.255.255' })
      .udp({ src: 68, dst: 67 })
      .payload(300);
    expect(one.fate('c2', asked.build())).toContain('c3');
    expect(one.fate('c1', udp(1, 2, [67, 68]))).toBe('acl_deny');
    expect(one.fate('c3', udp(3, 2, [67, 68]))).toBe('c2');
  });

  test('lets fragments behind the first pass where a first one could', () => {
    const one = model(tiers());
    const later = (from: number, to: number) =>
      way(from, to, { fragmentOffset: 1480, protocol: 17 }).payload(100).build();
    expect(one.fate('c1', later(1, 2))).toBe('c2');
    expect(one.fate('c2', later(2, 1))).toBe('c1');
    expect(one.fate('c3', later(3, 2))).toBe('acl_deny');
  });
});

describe('a change of the policy', () => {
  const without = rules.app.filter((line) => !line.includes('8080'));

  test('ends the connections that it forbids, both ways, and no others', () => {
    const one = model(tiers());
    handshake(one);
    const asks = () => one.fate('c1', udp(1, 2, [5000, 53]));
    asks();
    one.fate('c2', udp(2, 1, [53, 5000]));
    const before = one.slowPath.counts;
    one.apply(tiers({ app: without }));
    // Whoever speaks is told by a reset.
    expect(one.fate('c1', tcp(1, 2, out, 'A'))).toBe('c1 acl_reject');
    expect(one.fate('c2', tcp(2, 1, back, 'A'))).toBe('c2 acl_reject');
    expect(asks()).toBe('c2');
    expect(one.fate('c2', udp(2, 1, [53, 5000]))).toBe('c1');
    // The flows of UDP are still the same ones.
    expect(one.slowPath.counts.kept - before.kept).toBeGreaterThan(0);
    const packets = one.flows().filter(({ match }) => match.includes('ip_proto=17'));
    expect(packets).toMatchObject([{ packets: 1 }, { packets: 1 }, { packets: 2 }]);
    one.apply(tiers());
    expect(one.fate('c1', tcp(1, 2, out, 'A'))).toBe('c2');
    expect(one.fate('c2', tcp(2, 1, back, 'A'))).toBe('c1');
  });

  test('lets a port join a group, and leave it, while it runs', () => {
    const one = model(tiers());
    expect(one.fate('c3', tcp(3, 2, out, 'S'))).toBe('acl_deny');
    one.apply(tiers({ third: 'web' }));
    expect(one.fate('c3', tcp(3, 2, out, 'S'))).toBe('c2');
    expect(one.fate('c2', tcp(2, 3, back, 'SA'))).toBe('c3');
    expect(one.fate('c1', tcp(1, 3, [40_000, 22], 'S'))).toBe('acl_deny');
    one.apply(tiers());
    expect(one.fate('c3', tcp(3, 2, out, 'A'))).toBe('c3 acl_reject');
    expect(one.fate('c1', tcp(1, 3, [40_000, 22], 'S'))).toBe('c3');
  });

  test('puts a firewall around connections that began without one', () => {
    const one = model(tiers());
    expect(one.fate('c3', udp(3, 5, [5000, 53]))).toBe(uplink);
    expect(one.worker().connections).toBe(0);
    one.apply(tiers({ third: 'web' }));
    expect(one.fate(uplink, tunnelled(udp(5, 3, [53, 5000])))).toBe('acl_deny');
    expect(one.fate('c3', udp(3, 5, [5000, 53]))).toBe(uplink);
    expect(one.fate(uplink, tunnelled(udp(5, 3, [53, 5000])))).toBe('c3');
  });
});

describe('across hosts', () => {
  test('the receiver judges what comes, and its answers go back', () => {
    const one = model(tiers());
    expect(one.fate(uplink, tunnelled(tcp(4, 2, out, 'S')))).toBe('c2');
    expect(one.fate('c2', tcp(2, 4, back, 'SA'))).toBe(uplink);
    expect(one.fate(uplink, tunnelled(tcp(4, 2, out, 'A')))).toBe('c2');
    expect(one.fate(uplink, tunnelled(tcp(5, 2, out, 'S')))).toBe('acl_deny');
    expect(one.fate('c2', tcp(2, 4, [40_000, 80], 'S'))).toBe('acl_deny');
  });

  test('the sender judges what goes, before it costs the underlay anything', () => {
    const one = model(tiers({ web: ['{ direction: egress, protocol: tcp, ports: 443 }'] }));
    expect(one.fate('c1', tcp(1, 5, [40_000, 80], 'S'))).toBe('acl_deny');
    expect(one.port(uplink).tx_packets).toBe(0);
    expect(one.fate('c1', tcp(1, 5, [40_000, 443], 'S'))).toBe(uplink);
    expect(one.fate(uplink, tunnelled(tcp(5, 1, [443, 40_000], 'SA')))).toBe('c1');
  });
});

describe('ACLs', () => {
  const acl = (name: string, priority: number, rest: string) =>
    `  - { name: ${name}, priority: ${priority}, direction: egress, ${rest} }`;
  const model = (...acls: string[]) => {
    const one = new ModelSwitch(tiers({ more: ['acls:', ...acls].join('\n') }));
    open.push(one);
    return one;
  };

  test('come before the groups, the highest first', () => {
    const one = model(
      acl('low', 1, 'action: drop, protocol: tcp, ports: 8000-8999'),
      acl('high', 2, 'action: allow, protocol: tcp, ports: 8081, networks: [blue]'),
    );
    expect(one.fate('c1', tcp(1, 2, out, 'S'))).toBe('acl_deny');
    expect(one.fate('c1', tcp(1, 2, [40_000, 8081], 'S'))).toBe('c2');
    expect(one.fate('c2', tcp(2, 1, [8081, 40_000], 'SA'))).toBe('c1');
    // Of a port with groups an ACL opens the one direction that it is about.
    expect(one.fate('c2', tcp(2, 1, [40_000, 8081], 'S'))).toBe('acl_deny');
    expect(one.fate('c2', tcp(2, 3, [40_000, 8081], 'S'))).toBe('c3');
  });

  test('hold for ports without groups too, which are open otherwise, and track connections', () => {
    const one = model(acl('no-mail', 1, 'action: drop, protocol: tcp, ports: 25'));
    expect(one.fate('c3', tcp(3, 1, [40_000, 25], 'S'))).toBe('acl_deny');
    expect(one.fate('c3', tcp(3, 5, [40_000, 26], 'S'))).toBe(uplink);
    // An answer from port 25 is no mail that c3 sends.
    expect(one.fate(uplink, tunnelled(tcp(5, 3, [40_000, 25], 'S')))).toBe('c3');
    expect(one.fate('c3', tcp(3, 5, [25, 40_000], 'SA'))).toBe(uplink);
    expect(one.worker().connections).toBe(2);
  });

  const rejected = acl('no', 9, 'action: reject, protocol: any, remote: 10.0.0.0/8');

  test('that reject answer TCP with a reset that the sender believes', () => {
    const one = model(rejected);
    const syn = way(1, 2).tcp({ src: 9, dst: 80, seq: 1000, flags: 'S' }).payload(5).build();
    const reset = (from: number, to: number, fields: object) =>
      way(from, to, { ttl: 64, df: true }).tcp({ ...fields, window: 0 });
    const sent = one.send('c1', syn);
    expect(sent.map(({ port }) => port)).toEqual(['c1']);
    expectPacket(judge.keep(sent)[0], reset(2, 1, { src: 80, dst: 9, ack: 1006, flags: 'RA' }));
    const ack = way(1, 2).tcp({ src: 9, dst: 80, seq: 7, ack: 77, flags: 'A' }).build();
    expectPacket(
      judge.keep(one.send('c1', ack))[0],
      reset(2, 1, { src: 80, dst: 9, seq: 77, flags: 'R' }),
    );
    expect(one.fate('c1', tcp(1, 2, [9, 80], 'R'))).not.toContain('c1');
    expect(one.drops('c1').acl_reject).toBe(2);
    expect(one.worker().icmp_errors).toBe(2);
    expect(one.flows().map(({ actions }) => actions)).toContain('reject');
  });

  test('that reject answer the rest with ICMP port unreachable, also through a tunnel', () => {
    const one = model(
      '  - { name: no, priority: 9, action: reject, direction: ingress, protocol: udp }',
    );
    const asked = udp(5, 1, [9, 10]);
    const [answer] = one.send(uplink, tunnelled(asked));
    expect(answer?.port).toBe(uplink);
    const inner = eth({ src: mac(1), dst: mac(5) })
      .ip({ src: ip(1), dst: ip(5), ttl: 64, df: true, tos: 0xc0 })
      .icmp({ type: 3, code: 3 })
      .raw(asked.subarray(14));
    expect(toHex(answer!.frame.subarray(50))).toBe(toHex(inner.build()));
    const six = eth({ src: mac(3), dst: mac(1) })
      .ip6({ src: ip6(3), dst: ip6(1) })
      .udp({ src: 9, dst: 10 })
      .payload(4)
      .build();
    const back = eth({ src: mac(1), dst: mac(3) })
      .ip6({ src: ip6(1), dst: ip6(3) })
      .icmp6({ type: 1, code: 4 })
      .raw(six.subarray(14));
    expectPacket(judge.keep(one.send('c3', six))[0], back);
    expect(one.drops().acl_reject).toBe(2);
  });
});

test('a stateless group needs a rule for each direction, and tracks nothing', () => {
  const web = [
    '{ direction: egress, protocol: tcp, ports: 8080 }',
    '{ direction: ingress, protocol: tcp, ports: 40000-40010 }',
  ];
  const app = ['{ direction: ingress, protocol: tcp, ports: 8080 }'];
  const one = model(tiers({ web, app, stateful: false }));
  expect(one.fate('c1', tcp(1, 2, out, 'S'))).toBe('c2');
  expect(one.fate('c2', tcp(2, 1, back, 'SA'))).toBe('acl_deny');
  one.apply(tiers({ web, app: [...app, '{ direction: egress, protocol: tcp }'], stateful: false }));
  expect(one.fate('c2', tcp(2, 1, back, 'SA'))).toBe('c1');
  expect(one.fate('c2', tcp(2, 1, [8080, 40_011], 'SA'))).toBe('acl_deny');
  expect(one.worker().connections).toBe(0);
  expect(one.flows().every(({ match }) => !match.includes('ct_state'))).toBe(true);
});

test('two tenants on one trunk may have the same connection, each under its own rules', () => {
  const tenant = (network: string, vlan: number, last: number, groups: string) =>
    `  - { name: ${network}${last}, network: ${network}, mac: "${mac(last)}", ` +
    `ips: [${ip(last)}], host: h1, device: trunk, vlan: ${vlan}, securityGroups: [${groups}] }`;
  const one = model(`
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }]
networks: [{ name: blue, vni: 100 }, { name: red, vni: 200 }]
securityGroups:
  - { name: client, rules: [{ direction: egress }] }
  - { name: server, rules: [{ direction: ingress, protocol: tcp, ports: 8080 }] }
ports:
${tenant('blue', 10, 1, 'client')}
${tenant('blue', 11, 2, 'server')}
${tenant('red', 20, 1, 'client')}
${tenant('red', 21, 2, 'server')}
`);
  const tagged = (vlan: number, from: number, to: number, fields: object) =>
    eth({ src: mac(from), dst: mac(to) })
      .vlan(vlan)
      .ip({ src: ip(from), dst: ip(to) })
      .tcp(fields)
      .build();
  expect(one.fate('trunk', tagged(10, 1, 2, { src: 9, dst: 8080, flags: 'S' }))).toBe('trunk');
  // Red's connection has not begun: its answer fits none.
  const answer = (vlan: number) => tagged(vlan, 2, 1, { src: 8080, dst: 9, flags: 'SA' });
  expect(one.fate('trunk', answer(21))).toBe('connection_invalid');
  expect(one.fate('trunk', answer(11))).toBe('trunk');
});

describe('a replicated packet', () => {
  const hello = (from: number) =>
    eth({ src: mac(from), dst: '01:00:5e:00:00:fb' })
      .ip({ src: ip(from), dst: '224.0.0.251' })
      .udp({ src: 5353, dst: 5353 })
      .payload(20)
      .build();
  const mdns = '{ direction: ingress, protocol: udp, ports: 5353 }';

  test('reaches the ports whose firewall allows it', () => {
    const one = model(tiers({ third: '' }));
    expect(one.fate('c1', hello(1))).toBe('c3 uplink');
    one.apply(tiers({ app: [mdns] }));
    expect(one.fate('c1', hello(1))).toBe('c2 c3 uplink');
    expect(one.fate('c3', hello(3))).toBe('c2 uplink');
    expect(one.fate(uplink, tunnelled(hello(5)))).toBe('c2 c3');
  });

  test('that nobody may have ends by that name', () => {
    const one = model(tiers({ third: 'web' }));
    expect(one.fate(uplink, tunnelled(hello(5)))).toBe('acl_deny');
    expect(one.fate('c2', hello(2))).toBe('acl_deny');
  });
});

test.skipIf(firstLack(['command:tshark']))('tshark finds no fault in the answers', async () => {
  expect(judge.count).toBeGreaterThanOrEqual(3);
  await judge.tshark();
});

test.skipIf(firstLack(['command:python3']))('scapy computes the same checksums', async () => {
  await judge.scapy();
});
