// switch/why.test.ts — why real packets fare as they do, from the exact entries and dropped ones.
//
// web and app are on this host, behind the firewall; another web server on the other.

import { afterEach, describe, expect, test } from 'vitest';
import { ModelSwitch } from '../support/model-switch.ts';
import { eth, type Packet } from '../support/packet.ts';

const open: ModelSwitch[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.end();
});

const mac = (last: number) => `02:00:00:00:00:0${last}`;
const ip = (last: number) => `10.0.0.${last}`;

/** Two groups; `ports` of the application that the web may reach. */
function tiers(ports = '8080-8089', more = ''): string {
  const port = (last: number, group: string, host = 'h1') =>
    `  - { name: c${last}, network: blue, mac: "${mac(last)}", ips: [${ip(last)}], ` +
    `host: ${host}, device: c${last}, securityGroups: [${group}] }`;
  return `
hosts: [{ name: h1, tunnelIp: 172.31.1.1 }, { name: h2, tunnelIp: 172.31.1.2 }]
networks: [{ name: blue, vni: 100 }]
securityGroups:
  - { name: web, rules: [{ direction: egress }] }
  - name: app
    rules:
      - { direction: ingress, protocol: tcp, ports: ${ports}, remoteGroup: web }
      - { direction: ingress, protocol: udp, ports: 53, remoteGroup: web }
${more}
ports:
${port(1, 'web')}
${port(2, 'app')}
${port(3, 'web')}
${port(4, 'web', 'h2')}
`;
}

function model(yaml: string): ModelSwitch {
  const one = new ModelSwitch(yaml);
  open.push(one);
  return one;
}

const way = (from: number, to: number, fields: Parameters<Packet['ip']>[0] = {}) =>
  eth({ src: mac(from), dst: mac(to) }).ip({ src: ip(from), dst: ip(to), ...fields });
const tcp = (from: number, to: number, ports: readonly [number, number], flags: string) =>
  way(from, to).tcp({ src: ports[0], dst: ports[1], flags }).payload(20).build();

/** A connection of a web server with the application, established and in the exact caches. */
function establish(one: ModelSwitch, from: number, source: number, port = 8080): void {
  const fates = [
    one.fate(`c${from}`, tcp(from, 2, [source, port], 'S')),
    one.fate('c2', tcp(2, from, [port, source], 'SA')),
    one.fate(`c${from}`, tcp(from, 2, [source, port], 'A')),
    one.fate('c2', tcp(2, from, [port, source], 'A')),
    one.fate(`c${from}`, tcp(from, 2, [source, port], 'A')),
  ];
  expect(fates).toEqual(['c2', `c${from}`, 'c2', `c${from}`, 'c2']);
}

describe('why, of a connection,', () => {
  test('names rule, object, revision and what it carried, both ways', async () => {
    const one = model(tiers());
    establish(one, 1, 40_000);
    const [there, back, ...others] = await one.why('tcp 10.0.0.1:40000 10.0.0.2:8080');
    expect(others).toEqual([]);
    // The exact entry is made by the first steady packet.
    const known = { source: 'connection', drop: '', agrees: true, state: 'established' };
    expect(there).toMatchObject({ ...known, packets: 1, decidedRevision: 0 });
    expect(back).toMatchObject({ ...known, packets: 1 });
    expect(there?.trace.nearest).toBeNull();
    const rules = there?.trace.steps.map(({ stage, path }) => [stage, path]);
    expect(rules).toContainEqual(['ingress-policy', 'securityGroups[app].rules[0]']);
    expect(rules).toContainEqual(['egress-policy', 'securityGroups[web].rules[0]']);
    expect(back?.trace.key).toContain('ct_state=0x2a');
  });

  test('of one that is denied shows the dropped packet and the nearest rule', async () => {
    const one = model(tiers());
    expect(one.fate('c1', tcp(1, 2, [40_000, 8090], 'S'))).toBe('acl_deny');
    const [dropped, ...others] = await one.why('tcp 10.0.0.1 10.0.0.2:8090');
    expect(others).toEqual([]);
    expect(dropped).toMatchObject({ source: 'drop', drop: 'acl_deny', agrees: true });
    expect(dropped).toMatchObject({ decidedBy: 'ingress-policy/c2/deny', packets: 1 });
    expect(Buffer.from(dropped?.packet ?? '', 'base64')).toHaveLength(74);
    expect(dropped?.trace.nearest).toEqual({
      rule: 'ingress-policy/group app/ingress tcp 8080-8089 from group web',
      origin: 'security group app',
      path: 'securityGroups[app].rules[0]',
      match: 'ingress tcp 8080-8089 from group web',
      differs: ['port is 8090, not 8080-8089'],
    });
  });

  test('of a client that no rule names tells whose address it is not', async () => {
    const one = model(tiers());
    one.fate('c2', tcp(2, 1, [9, 80], 'S'));
    const [dropped] = await one.why('last-drop c2');
    expect(dropped?.drop).toBe('acl_deny');
    // The application may begin nothing: no rule of the direction is there to be near.
    expect(dropped?.trace.nearest).toBeNull();
    one.fate('c3', way(3, 2, { src: '10.0.0.9' }).udp({ src: 9, dst: 53 }).build());
    const [spoofed] = await one.why('last-drop c3');
    expect(spoofed).toMatchObject({ drop: 'spoofed_ip', agrees: true });
    expect(spoofed?.trace.nearest?.differs).toEqual(['ip_src is 10.0.0.9, not 10.0.0.3']);
  });
});

describe('why, of a flow and of drops,', () => {
  test('explains a flow by its number', async () => {
    const one = model(tiers());
    establish(one, 1, 40_000);
    const [there] = await one.why('tcp 10.0.0.1:40000 10.0.0.2:8080');
    const [flow] = await one.why(`${there?.flow}`);
    expect(flow).toMatchObject({ source: 'flow', flow: there?.flow, drop: '', agrees: true });
    expect(flow?.packets).toBeGreaterThanOrEqual(2);
  });

  test('knows a bad packet that never met a rule', async () => {
    const one = model(tiers());
    one.fate('c1', way(1, 2).udp({ src: 1, dst: 2 }).build().subarray(0, 30));
    const [bad] = await one.why('last-drop c1');
    expect(bad).toMatchObject({ drop: 'bad_ipv4', decidedBy: '', agrees: false });
  });

  test.each([
    ['', 'names no packet'],
    ['web1', 'names no packet'],
    ['last-drop', 'last-drop names no port'],
    ['last-drop nosuch', 'there is no port or device nosuch here'],
    ['last-drop c1', 'no dropped packet of port c1 is known'],
    ['0', 'there is no flow 0'],
    ['4711', 'there is no flow 4711'],
    ['tcp 10.0.0.1:99999 10.0.0.2:80', '"99999" of "10.0.0.1:99999" is no port'],
    ['tcp 10.0.0.1:1', 'has 2 parts'],
    ['tcp 10.0.0 10.0.0.2', '"10.0.0" is no address'],
    ['tcp 10.0.0.1 fd00::1', 'of two families'],
    ['tcp 10.0.0.1:1 10.0.0.2:2', 'no packet of tcp 10.0.0.1:1 10.0.0.2:2 is known'],
  ])('of "%s" says what is wrong, and what to do', async (about, message) => {
    const one = model(tiers());
    const error = await one.why(about).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ message: expect.stringContaining(message) });
    expect((error as { remedy: string }).remedy).not.toBe('');
  });

  test('counts drops by port and rule, through flows that come and go', async () => {
    const one = model(tiers());
    for (const port of [22, 23, 24]) one.fate('c1', tcp(1, 2, [40_000, port], 'S'));
    one.fate('c3', tcp(3, 2, [40_000, 22], 'S'));
    await one.why('last-drop c1');
    const counts = () =>
      one.slowPath.drops
        .counts()
        .filter(({ rule }) => rule !== '')
        .map(({ port, rule, packets, recent }) => [port, rule, packets, recent?.port])
        .sort();
    const deny = 'ingress-policy/c2/deny';
    const [c1, c3] = [one.number('devices', 'c1'), one.number('devices', 'c3')];
    expect(counts()).toEqual([
      [c1, deny, 3, c1],
      [c3, deny, 1, c3],
    ]);
    one.advance(60_000);
    expect(one.slowPath.flows.size).toBe(0);
    one.fate('c1', tcp(1, 2, [40_000, 22], 'S'));
    expect(counts()[0]).toEqual([c1, deny, 4, c1]);
  });
});

describe('the self-audit', () => {
  test('finds nothing wrong, and a wrong entry when there is one', async () => {
    const one = model(tiers());
    for (const source of [40_000, 40_001, 40_002]) establish(one, 1, source);
    expect(await one.auditAll()).toEqual([]);
    expect(one.audit.counts).toMatchObject({ audited: 6, mismatches: 0 });
    // Rules change without anybody telling the flows.
    const before = one.slowPath.pipeline.policy.policy;
    one.slowPath.pipeline.apply({
      removed: [],
      added: [],
      policy: { ...before, blocks: new Map() },
    });
    const found = await one.auditAll();
    expect(found.length).toBeGreaterThan(0);
    expect(one.audit.counts.last).toContain('it should be');
    one.slowPath.pipeline.apply({ removed: [], added: [], policy: before });
  });
});

describe('a change of policy', () => {
  test('tells which live connections it cuts, and what it lets through', async () => {
    const one = model(tiers());
    establish(one, 1, 40_000, 8080);
    establish(one, 3, 40_001, 8081);
    one.fate('c1', tcp(1, 2, [40_000, 8090], 'S'));
    const changed = await one.changedBy(tiers('8081-8090'));
    const told = changed.map(({ change, connection, drop, canStay, path }) => {
      const { source, destination } = connection;
      return [change, `${source} > ${destination}`, drop, canStay, path];
    });
    const group = 'securityGroups[app].rules[0]';
    expect(told).toEqual([
      ['cut', '10.0.0.1:40000 > 10.0.0.2:8080', 'acl_reject', true, 'ports[c2].securityGroups'],
      ['let through', '10.0.0.1:40000 > 10.0.0.2:8090', '', false, group],
    ]);
    // Nothing was changed by asking.
    expect(one.fate('c1', tcp(1, 2, [40_000, 8080], 'A'))).toBe('c2');
    expect(await one.auditAll()).toEqual([]);
    expect(await one.changedBy(tiers())).toEqual([]);
  });

  test('cuts what it denies with a reset to whoever speaks, and nothing else', () => {
    const one = model(tiers());
    establish(one, 1, 40_000, 8080);
    establish(one, 3, 40_001, 8081);
    one.apply(tiers('8081-8090'));
    // The reset goes back to the sender.
    expect(one.fate('c1', tcp(1, 2, [40_000, 8080], 'A'))).toBe('c1 acl_reject');
    expect(one.fate('c2', tcp(2, 1, [8080, 40_000], 'A'))).toBe('c2 acl_reject');
    expect(one.fate('c3', tcp(3, 2, [40_001, 8081], 'A'))).toBe('c2');
    expect(one.fate('c1', tcp(1, 2, [40_009, 8080], 'S'))).toBe('acl_deny');
  });

  test('lets marked connections go on, new ones not, until the mark goes', async () => {
    const one = model(tiers());
    establish(one, 1, 40_000, 8080);
    const [cut] = await one.changedBy(tiers('8081-8090'));
    const { connection, connectionGeneration: generation } = cut!.entries[0]!;
    const mark = (bits: number) =>
      one.answerTo(one.lister.mark([{ connection, generation, bits, ms: 0 }]));
    await mark(0x40);
    one.apply(tiers('8081-8090'));
    for (const turn of [1, 2, 3]) {
      expect(one.fate('c1', tcp(1, 2, [40_000, 8080], 'A')), `${turn}`).toBe('c2');
      expect(one.fate('c2', tcp(2, 1, [8080, 40_000], 'A')), `${turn}`).toBe('c1');
    }
    expect(one.fate('c1', tcp(1, 2, [40_009, 8080], 'S'))).toBe('acl_deny');
    const [there] = await one.why('tcp 10.0.0.1:40000 10.0.0.2:8080');
    expect(there?.trace.steps.map(({ rule }) => rule)).toContain('egress-policy/kept');
    expect(await one.auditAll()).toEqual([]);
    await mark(0);
    expect(one.fate('c1', tcp(1, 2, [40_000, 8080], 'A'))).toBe('c1 acl_reject');
  });
});

describe('entries that end', () => {
  test('are told of with all that they carried', async () => {
    const one = model(tiers());
    one.lister.reportEnds({ idleMs: 15_000, activeMs: 60_000 });
    establish(one, 1, 40_000);
    for (let packet = 0; packet < 10; packet += 1) one.fate('c1', tcp(1, 2, [40_000, 8080], 'A'));
    const entries = await one.answerTo(one.lister.list());
    expect(entries.map(({ packets }) => packets).sort()).toEqual([13, 2]);
    expect(one.ended).toEqual([]);
    one.flushExact();
    await one.answerTo(one.lister.list());
    expect(one.ended.map(({ report }) => report.packets).sort()).toEqual([13, 2]);
    expect(one.ended.map(({ report }) => report.decision)).not.toContain(0);
  });
});
