// e2e/bad-input.test.ts — what operators get wrong, and what machines run out of: one sentence that
// names the thing, and nothing lost that was in force.

import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { flood } from '../support/flood.ts';
import type { Lab } from '../support/netns.ts';
import { useLab } from '../support/netns.ts';
import { eth } from '../support/packet.ts';
import { kernelVtep } from '../support/peers/kernel-vxlan.ts';
import { alive, mustRun } from '../support/process.ts';
import { describeWith } from '../support/requires.ts';
import { type TwoHosts, twoHosts } from '../support/topology.ts';
import { ping } from '../support/traffic.ts';
import { documentFor, startBoth, Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

const choice = { encap: 'vxlan', underlay: 'ipv4', tenants: false } as const;

/** One host with two containers, and its daemon running. */
async function oneHost(lab: Lab) {
  const topology = await twoHosts(lab, { containers: ['c1', 'c3'] });
  const h1 = new Vtepd(lab, 'h1');
  return { topology, h1, document: documentFor(topology, choice) };
}

async function failedStart(h1: Vtepd) {
  const daemon = h1.spawn();
  const { code } = await daemon.exited;
  return { code, said: daemon.output };
}

/** A sentence for people, not a stack. */
function expectSentence(said: string, ...patterns: RegExp[]) {
  for (const pattern of patterns) expect(said).toMatch(pattern);
  expect(said).not.toMatch(/^\s+at .*:\d+:\d+/m);
}

async function smallDisk(lab: Lab, kib: number): Promise<string> {
  const directory = lab.path('h1-state');
  await mustRun('mkdir', ['-p', directory]);
  await mustRun('mount', ['-t', 'tmpfs', '-o', `size=${kib}k`, 'tmpfs', directory]);
  lab.onClose(() => mustRun('umount', ['-l', directory]));
  return directory;
}

function fill(directory: string): void {
  try {
    writeFileSync(`${directory}/ballast`, Buffer.alloc(1 << 20));
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
  }
}

const talks = async (lab: Lab, { containers }: TwoHosts) =>
  (await ping(lab, 'c1', containers.c3.ip, { wait: 1 })).received === 3;

describeWith(['root', 'veth', 'command:ping'], 'documents and configurations', () => {
  const useWorld = useLab();

  it('are refused whole, with line, field and expectation; what was in force stays', async () => {
    const lab = useWorld();
    const { topology, h1, document } = await oneHost(lab);
    await h1.start();
    await h1.apply(document);
    const file = lab.path('bad.yaml');
    const bad = [
      [document.replace('vni: 100', 'vni: 0'), /bad\.yaml:5:\d+: networks\[0\]\.vni.*expected/],
      [
        document.replace('network: blue', 'network: green'),
        /bad\.yaml:\d+:\d+: ports\[0\]\.network/,
      ],
      [`${document}nonsense: 1\n`, /bad\.yaml:\d+.*nonsense/],
      [document.slice(0, 40), /bad\.yaml:\d+/],
      ['', /bad\.yaml/],
    ] as const;
    for (const [text, problem] of bad) {
      writeFileSync(file, text);
      const { code, stderr } = await h1.tryCtl('apply', '-f', file);
      expect(code, stderr).toBe(4);
      expectSentence(stderr, problem);
    }
    expect((await h1.status()).revision).toBe(1);
    expect(await talks(lab, topology)).toBe(true);
    const missing = await h1.tryCtl('apply', '-f', lab.path('nothing.yaml'));
    expect(missing.code).not.toBe(0);
    expectSentence(missing.stderr, /nothing\.yaml/);
    const nowhere = await h1.tryCtl('--socket', lab.path('nobody.sock'), 'status');
    expect(nowhere.code).toBe(3);
    expectSentence(nowhere.stderr, /nobody\.sock/);
    h1.expectQuietLog();
  });

  it('of a wrong configuration name file, line and field, and do not start', async () => {
    const lab = useWorld();
    await lab.namespace('h1');
    for (const [line, problem] of [
      ['tunel: {}', /h1\.yaml:\d+.*tunel/],
      ['tunnel: { port: 70000 }', /h1\.yaml:\d+:\d+: tunnel\.port/],
      ['log: { level: loud }', /h1\.yaml:\d+:\d+: log\.level/],
    ] as const) {
      const { code, said } = await failedStart(new Vtepd(lab, 'h1', { config: [line] }));
      expect(code).toBe(1);
      expectSentence(said, problem, /ERR_CONFIG_INVALID/);
    }
  });

  it('without this host bring nothing into force, and status says so', async () => {
    const lab = useWorld();
    const { h1 } = await oneHost(lab);
    await h1.start();
    await h1.apply('hosts: [{ name: elsewhere, tunnelIp: 172.31.1.9 }]\n');
    const { warnings, counts } = await h1.status();
    expect(warnings.join()).toMatch(/no host h1/);
    expect(counts.ports).toBe(0);
  });
});

const blue4 = '{ name: b4, network: blue, cidr: 10.0.0.0/24, gateway: 10.0.0.254 }';
const blue6 = '{ name: b6, network: blue, cidr: "fd00:10::/64" }';

/** Sections of a wrong policy, behind the eleven lines of a right one; and what is said of each. */
const wrongPolicies = [
  [
    `subnets:
  - ${blue4}
  - ${blue6}
  - { name: r4, network: red, cidr: 10.0.0.128/25, gateway: 10.0.0.253 }
routers: [{ name: r1, subnets: [b4, r4] }]`,
    /:16:\d+: routers\[0\]\.subnets\[1\]: 10\.0\.0\.128\/25 overlaps subnet "b4"/,
  ],
  [
    `securityGroups:
  - { name: web, rules: [{ direction: ingress, protocol: tcp, ports: 443-80 }] }`,
    /:13:\d+: securityGroups\[0\]\.rules\[0\]\.ports: .*reversed.*80-443/,
  ],
  [
    `subnets: [${blue4}, ${blue6}]
routers:
  - { name: r1, subnets: [b4], routes: [{ destination: 0.0.0.0/0, nextHops: [192.0.2.1] }] }`,
    /:14:\d+: routers\[0\]\.routes\[0\]\.nextHops\[0\]: .*a route to nowhere/,
  ],
] as const;

describeWith(['root', 'veth', 'command:ping'], 'policies', () => {
  const useWorld = useLab();

  it('that contradict themselves are refused with line and reason', async () => {
    const lab = useWorld();
    const { topology, h1, document } = await oneHost(lab);
    await h1.start();
    await h1.apply(document);
    const file = lab.path('policy.yaml');
    const { c1, c3 } = topology.containers;
    const wrong: (readonly [string, RegExp])[] = [
      ...wrongPolicies.map(([text, said]) => [`${document}${text}\n`, said] as const),
      [document.replace(c3.mac, c1.mac), /:10:\d+: ports\[2\]\.mac: .*is taken/],
      [document.replace(c3.ip, c1.ip), /:10:\d+: ports\[2\]\.ips\[0\]: .*is taken/],
    ];
    for (const [text, said] of wrong) {
      writeFileSync(file, text);
      for (const verb of ['apply', 'diff']) {
        const { code, stderr } = await h1.tryCtl(verb, '-f', file);
        expect(code, stderr).toBe(4);
        expectSentence(stderr, said);
      }
    }
    expect((await h1.status()).revision).toBe(1);
  });

  it('with groups that name each other are in force: no cycle needs an end', async () => {
    const lab = useWorld();
    const { topology, h1, document } = await oneHost(lab);
    const group = (name: string, other: string) =>
      `  - { name: ${name}, rules: [{ direction: egress },
        { direction: ingress, remoteGroup: ${other} },
        { direction: ingress, remoteGroup: ${name} }] }`;
    await h1.start();
    const groups = `securityGroups:\n${group('left', 'right')}\n${group('right', 'left')}\n`;
    const joined = document
      .replace('device: p1', 'device: p1, securityGroups: [left]')
      .replace('device: p3', 'device: p3, securityGroups: [right]');
    await h1.apply(`${joined}${groups}`);
    expect(await talks(lab, topology)).toBe(true);
  });

  it('whose routes lead to nobody are accepted, and said not to be in force', async () => {
    const lab = useWorld();
    const { h1, document } = await oneHost(lab);
    await h1.start();
    const file = lab.path('route.yaml');
    const route = '{ destination: 192.0.2.0/24, nextHops: [10.0.0.77] }';
    writeFileSync(
      file,
      `${document}subnets: [${blue4}, ${blue6}]
routers: [{ name: r1, subnets: [b4], routes: [${route}] }]\n`,
    );
    const said = await h1.ctl('apply', '-f', file);
    expectSentence(said, /not in force/, /router r1: .*192\.0\.2\.0\/24 does not use 10\.0\.0\.77/);
    expect(await h1.json('get', 'router', 'r1')).toMatchObject({ state: 'partial' });
  });

  it('of who has which address are held against ARP and ND that claim another', async () => {
    const lab = useWorld();
    const { topology, h1, document } = await oneHost(lab);
    await h1.start();
    await h1.apply(document);
    const { c1, c3 } = topology.containers;
    const everyone = eth({ src: c1.mac, dst: 'ff:ff:ff:ff:ff:ff' });
    const claims = [
      everyone.arp({ op: 'reply', senderMac: c1.mac, senderIp: c3.ip, targetIp: c3.ip }),
      eth({ src: c1.mac, dst: '33:33:00:00:00:01' })
        .ip6({ src: c1.ip6, dst: 'ff02::1', hopLimit: 255 })
        .neighborAdvert({ target: c3.ip6, mac: c1.mac, flags: 'O' }),
    ];
    for (const claim of claims) {
      const before = await h1.dropped('spoofed_arp');
      await (await flood(lab, 'c1', 0.01, [claim.build()])).end();
      expect(await h1.dropped('spoofed_arp')).toBeGreaterThan(before);
      const why = await h1.ctl('why', 'last-drop', 'c1');
      expectSentence(why, /spoofed_arp/);
    }
    expect(await talks(lab, topology)).toBe(true);
  });
});

describeWith(['root', 'veth', 'command:ping'], 'privilege, sockets and files', () => {
  const useWorld = useLab();

  it('missing privilege is named with the capability that is missing', async () => {
    const lab = useWorld();
    const { h1, document } = await oneHost(lab);
    // Root by name only: another user could not read a checkout in the home of root.
    const daemon = lab.spawn('h1', 'setpriv', [
      ...['--bounding-set', '-all', '--inh-caps', '-all'],
      ...[process.execPath, 'dist/main.js', '--config', h1.configFile],
    ]);
    await daemon.waitFor(async () => (await h1.tryCtl('status')).code === 0);
    lab.onClose(async () => process.kill((await h1.status()).datapath.pid, 'SIGTERM'));
    await h1.apply(document);
    const { warnings } = await h1.status();
    expectSentence(warnings.join('\n'), /p1: .*CAP_/, /p3: .*CAP_/);
    const port = await h1.json('get', 'port', 'c1');
    expect(port).toMatchObject({ state: 'waiting', why: expect.stringMatching(/CAP_/) });
  });

  it('a control socket that another program serves is named', async () => {
    const lab = useWorld();
    const { h1 } = await oneHost(lab);
    const squatter = lab.spawnHere('/usr/bin/python3', [
      ...[
        '-c',
        [
          'import socket, sys, time',
          's = socket.socket(socket.AF_UNIX)',
          's.bind(sys.argv[1])',
          's.listen()',
          'print("ready", flush=True)',
          'time.sleep(60)',
        ].join('\n'),
      ],
      h1.socket,
    ]);
    await squatter.waitFor(/ready/);
    const { code, said } = await failedStart(h1);
    expect(code).toBe(3);
    expectSentence(said, /h1\.sock/, /ERR_BUSY/);
    await squatter.kill9();
    await h1.start();
  });

  it('a second vtepd for one host leaves the first and its sockets as they are', async () => {
    const lab = useWorld();
    const { topology, h1, document } = await oneHost(lab);
    await h1.start();
    await h1.apply(document);
    const second = lab.spawn('h1', process.execPath, ['dist/main.js', '--config', h1.configFile]);
    expect((await second.exited).code).toBe(3);
    expectSentence(second.output, /ERR_BUSY/);
    expect(alive(h1.pid)).toBe(true);
    expect((await h1.status()).revision).toBe(1);
    expect(await talks(lab, topology)).toBe(true);
  });

  it('a tunnel port that the kernel holds is named, and local containers go on', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    await kernelVtep(lab, {
      ...{ ns: 'h1', device: 'u1', local: '172.31.1.1', vni: 7, remotes: [], ports: [] },
    });
    const { h1 } = await startBoth(lab, topology, choice);
    const { warnings } = await h1.status();
    expectSentence(warnings.join('\n'), /u1: .*4789/);
    expect(await talks(lab, topology)).toBe(true);
    await lab.must('h1', 'ip', ['link', 'del', 'vx7']);
    const across = async () => (await ping(lab, 'c1', topology.containers.c2.ip)).received === 3;
    await waitUntil(across, { timeoutMs: 15_000, what: 'traffic once the port is free' });
  });

  it('sockets left by kill -9 of both processes do not keep the next from starting', async () => {
    const lab = useWorld();
    const { topology, h1, document } = await oneHost(lab);
    await h1.start();
    await h1.apply(document);
    const { datapathPid } = h1;
    await h1.kill9();
    process.kill(datapathPid, 'SIGKILL');
    await waitUntil(() => !alive(datapathPid), { what: 'the datapath to be gone' });
    await h1.start();
    expect(h1.datapathPid).not.toBe(datapathPid);
    expect(await talks(lab, topology)).toBe(true);
  });

  it('a program that is no addon is named as such', async () => {
    const lab = useWorld();
    const { h1 } = await oneHost(lab);
    for (const [content, said] of [
      [undefined, /broken\.node does not exist/],
      ['no library', /broken\.node cannot be loaded/],
    ] as const) {
      const addon = lab.path('broken.node');
      if (content !== undefined) writeFileSync(addon, content);
      const daemon = lab.spawn(
        'h1',
        process.execPath,
        ['dist/main.js', '--config', h1.configFile],
        { env: { VTEPD_ADDON: addon } },
      );
      expect((await daemon.exited).code).toBe(1);
      expectSentence(daemon.output, said, /npm run build:addon/);
    }
  });
});

describeWith(['root', 'veth', 'command:ping'], 'the state directory', () => {
  const useWorld = useLab();

  it('that is full refuses an apply, loses nothing, and takes it when there is room', async () => {
    const lab = useWorld();
    const { topology, h1, document } = await oneHost(lab);
    const directory = await smallDisk(lab, 64);
    await h1.start();
    await h1.apply(document);
    fill(directory);
    const changed = lab.path('changed.yaml');
    writeFileSync(changed, document.replace('vni: 100', 'vni: 101'));
    const refused = await h1.tryCtl('apply', '-f', changed);
    expect(refused.code).toBe(1);
    expectSentence(refused.stderr, /h1-state/, /no space/, /ERR_STATE_UNWRITABLE/);
    expect((await h1.status()).warnings.join()).toMatch(/no space/);
    expect((await h1.json('get', 'network', 'blue')).spec.vni).toBe(100);
    expect(await talks(lab, topology)).toBe(true);
    // A restart, as after a reboot: told, and the host has its network.
    await h1.stopAll();
    await h1.start();
    expect((await h1.status()).warnings.join()).toMatch(/no space/);
    expect(await talks(lab, topology)).toBe(true);
    h1.expectQuietLog(/no space/);
    await mustRun('rm', [`${directory}/ballast`]);
    await h1.ctl('apply', '-f', changed);
    expect((await h1.json('get', 'network', 'blue')).spec.vni).toBe(101);
    expect((await h1.status()).warnings.join()).not.toMatch(/no space/);
  });

  it('that is read-only is told at the start', async () => {
    const lab = useWorld();
    const { h1 } = await oneHost(lab);
    const directory = await smallDisk(lab, 64);
    await mustRun('mount', ['-o', 'remount,ro', directory]);
    const { code, said } = await failedStart(h1);
    expect(code).toBe(1);
    expectSentence(said, /h1-state/, /read-only/, /ERR_STATE_UNWRITABLE/);
  });

  it('with a damaged file is told, and the data path goes on with what it has', async () => {
    const lab = useWorld();
    const { topology, h1, document } = await oneHost(lab);
    await h1.start();
    await h1.apply(document);
    expect(await talks(lab, topology)).toBe(true);
    await h1.kill9();
    const file = lab.path('h1-state', 'state.json');
    const whole = readFileSync(file, 'utf8');
    for (const damaged of [
      whole.slice(0, 100),
      '{"revision":1}',
      'null',
      '{"revision":1,"document":{"ports":7}}',
    ]) {
      writeFileSync(file, damaged);
      const { code, said } = await failedStart(h1);
      expect(code, damaged).toBe(1);
      expectSentence(said, /state\.json/);
      expect(await talks(lab, topology)).toBe(true);
    }
    writeFileSync(file, whole);
    await h1.start();
    expect(await talks(lab, topology)).toBe(true);
  });
});
