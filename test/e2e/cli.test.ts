// e2e/cli.test.ts — every verb of vtepctl as an operator would use it, on hosts that move packets.
//
// One world for all tests, since most of them only look: two hosts, c1 and c2 of tenant blue, c3
// and c4 of red. Tests that break something are at the end.

import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Lab } from '../support/netns.ts';
import { mustRun, run } from '../support/process.ts';
import { describeWith, requires } from '../support/requires.ts';
import { type TwoHosts, twoHosts } from '../support/topology.ts';
import { datagramStream, ping } from '../support/traffic.ts';
import { tsharkFields } from '../support/tshark.ts';
import { startBoth, Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

const vtepctl = fileURLToPath(new URL('../../dist/cli/vtepctl.js', import.meta.url));
const choice = { encap: 'vxlan', underlay: 'ipv4', tenants: true } as const;

let lab: Lab;
let topology: TwoHosts;
let h1: Vtepd;
let document: string;

async function makeWorld() {
  lab = new Lab();
  topology = await twoHosts(lab);
  ({ h1, document } = await startBoth(lab, topology, choice));
}

/** A document in a file of the lab. */
function write(name: string, text: string): string {
  const file = lab.path(name);
  writeFileSync(file, text);
  return file;
}

/** vtepctl running beside the test, on h1. */
function watchCtl(...args: string[]) {
  return lab.spawnHere(process.execPath, [vtepctl, '--socket', h1.socket, ...args]);
}

/** A packet from c1 whose source address is another's, sent past c1's own stack. */
function spoof(times: number) {
  const { c1, c2 } = topology.containers;
  const frame = `Ether(src='${c1.mac}', dst='${c2.mac}')/IP(src='10.0.0.66', dst='${c2.ip}')`;
  const send = `sendp(${frame}/UDP(dport=9), iface='eth0', count=${times}, inter=0.05, verbose=0)`;
  return lab.must('c1', '/usr/bin/python3', ['-c', `from scapy.all import *; ${send}`]);
}

/** Three pings from c1 to c2, all answered; otherwise what h1 did with them. */
async function expectHeard() {
  const { received } = await ping(lab, 'c1', topology.containers.c2.ip);
  const why = received === 3 ? '' : `${await h1.ctl('flows')}\n${await h1.ctl('drops')}`;
  expect(received, why).toBe(3);
}

const keyOf = (fields: Record<string, string | number>) =>
  Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');

function ipKey(change: Record<string, string | number> = {}) {
  const { c1, c2 } = topology.containers;
  return keyOf({
    in_port: 'c1',
    eth_src: c1.mac,
    eth_dst: c2.mac,
    eth_type: '0x0800',
    ip_src: c1.ip,
    ip_dst: c2.ip,
    ip_proto: 1,
    ...change,
  });
}

async function packetsOf(file: string): Promise<number> {
  return (await tsharkFields(file, ['frame.number'])).length;
}

async function makeCertificates(): Promise<void> {
  const openssl = (...args: string[]) => mustRun('openssl', args, { cwd: lab.directory });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  for (const ca of ['ca', 'other-ca']) {
    await openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      `${ca}.key`,
      '-out',
      `${ca}.pem`,
      '-subj',
      `/CN=${ca}`,
    );
  }
  write('server.ext', 'subjectAltName=IP:127.0.0.1\n');
  const all = [
    ['server', 'ca'],
    ['client', 'ca'],
    ['stranger', 'other-ca'],
  ] as const;
  for (const [name, ca] of all) {
    await openssl(
      'req',
      ...key.slice(0, -2),
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${name}`,
    );
    await openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`],
      ...['-CAcreateserial', '-days', '2', '-out', `${name}.pem`],
      ...(name === 'server' ? ['-extfile', 'server.ext'] : []),
    );
  }
}

describeWith(['root'], 'vtepctl, as an operator uses it:', () => {
  beforeAll(makeWorld);
  afterAll(() => lab.close());
  describe('looking', () => {
    it('status says what is in force, and warns of nothing', async () => {
      const status = await h1.status();
      expect(status).toMatchObject({ host: 'h1', revision: 1, warnings: [] });
      expect(status.datapath).toMatchObject({ state: 'attached', workers: 1, restarts: 0 });
      expect(status.counts).toMatchObject({ ports: 2, tunnels: 1, networks: 2 });
      const text = await h1.ctl('status');
      expect(text).toMatch(/^host +h1\n/);
      expect(text).not.toContain('warning');
    });

    it.each([
      ['hosts', ['h1 active', 'h2 active']],
      ['networks', ['blue active', 'red active']],
      ['subnets', []],
      ['routers', []],
      ['security-groups', []],
      ['address-sets', []],
      ['acls', []],
      ['ports', ['c1 active', 'c2 elsewhere', 'c3 active', 'c4 elsewhere']],
    ])('get %s shows each with its state', async (kind, expected) => {
      const objects: { name: string; state: string }[] = await h1.json('get', kind);
      expect(objects.map(({ name, state }) => `${name} ${state}`)).toEqual(expected);
      const text = await h1.ctl('get', kind);
      if (expected.length === 0) expect(text).toBe(`no ${kind}\n`);
      for (const { name, state } of objects)
        expect(text).toMatch(new RegExp(`^${name} .*${state}`, 'm'));
    });

    it('get port NAME shows the document, and what was found on the host', async () => {
      const text = await h1.ctl('get', 'port', 'c1');
      expect(text).toMatch(/^port +c1\nstate +active\n/);
      expect(text).toMatch(/device +p1/);
      expect(text).toMatch(/on this host:\n +number +\d+\n +mode +af_packet/);
      expect(await h1.ctl('get', 'port', 'c1', '-o', 'yaml')).toMatch(/^kind: ports\nname: c1\n/);
    });

    it('flows shows flows with packets, by port too', async () => {
      expect((await ping(lab, 'c1', topology.containers.c2.ip)).received).toBe(3);
      type Flow = { match: string; actions: string; packets: number; decision: string[] };
      const flows: Flow[] = await h1.json('flows', '--port', 'c1');
      const out = flows.find(({ actions }) => actions.includes('output_tunnel(h2/vxlan'));
      expect(out?.packets).toBeGreaterThanOrEqual(2);
      expect(out?.match).toContain('in_port=c1');
      expect(out?.decision[0]).toBe('classify/port/c1');
      expect(flows.every(({ match }) => match.includes('in_port=c1'))).toBe(true);
      expect(await h1.ctl('flows', '--sort', 'packets')).toContain('output_tunnel(h2/vxlan');
    });

    it('a match of flows is a key that trace reads, with the same end', async () => {
      const flows: { match: string; actions: string }[] = await h1.json('flows', '--port', 'c1');
      const exact = flows.filter(({ match }) => !/\/(ff|f|0x)/.test(match));
      expect(exact.length).toBeGreaterThan(0);
      for (const { match, actions } of exact) {
        expect((await h1.json('trace', match)).actions).toBe(actions);
      }
    });

    it('top shows rates of the traffic that runs', async () => {
      const path = { from: 'c1', to: 'c2', address: topology.containers.c2.ip, port: 7010 };
      const stream = await datagramStream(lab, path, { count: 100_000, rate: 500 });
      const reading = await h1.json('top', '--once');
      const text = await h1.ctl('top', '--once');
      await stream.finish();
      const rates = reading.rates.ports.find(({ port }: { port: string }) => port === 'c1');
      expect(rates.rates.rx_packets).toBeGreaterThan(250);
      expect(rates.rates.rx_packets).toBeLessThan(1000);
      expect(text).toMatch(/^c1 +p1 +\d+(\.\d)? +[\d.]+ [kM]bit\/s/m);
      expect(text).toMatch(/median/);
    });

    it('metrics and the description of the API are had with curl', async (context) => {
      requires(context, 'command:curl');
      const curl = async (path: string) =>
        (await mustRun('curl', ['-sS', '--fail', '--unix-socket', h1.socket, `http://v${path}`]))
          .stdout;
      const metrics = await curl('/metrics');
      expect(metrics).toMatch(/^vtepd_port_rx_packets_total\{.*port="c1".*\} [1-9]\d*$/m);
      expect(metrics).not.toMatch(/NaN|undefined/);
      const api = JSON.parse(await curl('/v1/openapi.json'));
      expect(api.openapi).toMatch(/^3\.1/);
      for (const path of Object.keys(api.paths)) {
        if (path.includes('{') || /capture|watch/.test(path) || !('get' in api.paths[path]))
          continue;
        expect((await curl(path)).length, path).toBeGreaterThan(0);
      }
    });

    it('completion of bash offers verbs, kinds and names', async () => {
      const script = await h1.ctl('completion', 'bash');
      const complete = async (...words: string[]) => {
        const shell = [
          `vtepctl() { '${process.execPath}' '${vtepctl}' --socket '${h1.socket}' "$@"; }`,
          script,
          `COMP_WORDS=(vtepctl ${words.map((word) => `'${word}'`).join(' ')})`,
          `COMP_CWORD=${words.length}; _vtepctl; echo "\${COMPREPLY[@]}"`,
        ].join('\n');
        return (await mustRun('bash', ['-c', shell])).stdout.trim().split(' ');
      };
      expect(await complete('st')).toEqual(['status']);
      expect(await complete('get', 'po')).toEqual(['ports']);
      expect(await complete('get', 'port', 'c')).toEqual(['c1', 'c2', 'c3', 'c4']);
      for (const shell of ['zsh', 'fish']) {
        expect((await h1.tryCtl('completion', shell)).code).toBe(0);
      }
    });
  });

  describe('tracing', () => {
    it('trace shows the way of a packet that is forwarded', async () => {
      const result = await h1.json('trace', ipKey());
      expect(result).toMatchObject({
        drop: '',
        actions: expect.stringContaining('output_tunnel('),
      });
      const stages = result.steps.map(({ stage }: { stage: string }) => stage);
      expect(stages).toEqual(expect.arrayContaining(['classify', 'port-mac', 'l2', 'deliver']));
      const end = /verdict +forwarded\ndecided +by .+ \(.+, revision \d+\)\n$/;
      expect(await h1.ctl('trace', ipKey())).toMatch(end);
    });

    it('trace of a packet that is dropped names reason and rule, and explains', async () => {
      const key = ipKey({ ip_src: '10.0.0.66' });
      const result = await h1.json('trace', key);
      expect(result).toMatchObject({
        drop: 'spoofed_ip',
        dropHelp: expect.stringMatching(/source IP/),
      });
      expect(result.steps.at(-1)).toMatchObject({ stage: 'port-address', origin: 'port c1' });
      expect(await h1.ctl('trace', key)).toMatch(/dropped +spoofed_ip: the source IP is not one/);
    });

    it.each([
      ['in_port=nobody', /in_port.*"nobody"/],
      ['in_port=c1,eth_dest=02:00:00:00:00:02', /"eth_dest" is no field/],
      ['in_port=c1,ip_dst=10.0.0.256', /ip_dst.*10\.0\.0\.256/],
      ['', /empty/],
    ])('trace refuses %j', async (key, message) => {
      const { code, stderr } = await h1.tryCtl('trace', key);
      expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    });

    it('drops shows a spoofed packet, at the port that sent it', async () => {
      const before = await h1.dropped('spoofed_ip');
      await spoof(3);
      let now = before;
      const arrived = async () => {
        now = await h1.dropped('spoofed_ip');
        return now >= before + 3;
      };
      await waitUntil(arrived, {
        what: () => `three more than ${before} to be dropped, not ${now}`,
      });
      type Drop = { reason: string; ports: { port: string; packets: number }[] };
      const drops: Drop[] = await h1.json('drops');
      const spoofed = drops.find(({ reason }) => reason === 'spoofed_ip');
      const port = spoofed?.ports.find((one) => one.port === 'c1');
      expect(port?.packets).toBeGreaterThanOrEqual(3);
      expect(await h1.ctl('drops')).toMatch(/^spoofed_ip +\d+ .*c1 \d+.*source IP/m);
      expect(await h1.ctl('drops', '--all')).toMatch(/^bad_ipv4 +0 /m);
    });
  });

  describe('applying', () => {
    it('apply twice changes nothing the second time, and no packet or flow notices', async () => {
      const path = { from: 'c1', to: 'c2', address: topology.containers.c2.ip, port: 7011 };
      const stream = await datagramStream(lab, path, { count: 100_000, rate: 1000 });
      const carried = async () => {
        const flows: { id: number; actions: string; ageSeconds: number }[] = await h1.json('flows');
        return flows.filter(({ actions }) => actions.includes('output_tunnel')).map(({ id }) => id);
      };
      const flowsBefore = await carried();
      const { revision, hash } = await h1.status();
      const file = write('same.yaml', document);
      expect(await h1.ctl('diff', '-f', file)).toBe('no difference\n');
      for (let turn = 0; turn < 5; turn += 1) {
        expect(await h1.json('apply', '-f', file)).toMatchObject({ revision, hash, changes: [] });
      }
      expect(await h1.ctl('apply', '-f', file)).toMatch(/^revision 1: nothing changed, \d+ ms\n$/);
      // A container may ask for a neighbour meanwhile, which makes a flow of its own.
      expect(await carried()).toEqual(expect.arrayContaining(flowsBefore));
      expect(await stream.finish()).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
    });

    it('diff shows what apply then does, and what stays loses no packet', async () => {
      const path = { from: 'c1', to: 'c2', address: topology.containers.c2.ip, port: 7012 };
      const stream = await datagramStream(lab, path, { count: 100_000, rate: 1000 });
      const without = document.replace(/^ {2}- \{ name: c4.*\n/m, '');
      expect(without).not.toBe(document);
      const file = write('without.yaml', without);
      expect(await h1.ctl('diff', '-f', file)).toMatch(/^- port c4/m);
      expect(await h1.json('get', 'ports')).toHaveLength(4);
      expect(await h1.ctl('apply', '-f', file)).toMatch(
        /^- port c4[\s\S]*revision 2: 1 change, \d+ ms/,
      );
      expect(await h1.json('get', 'ports')).toHaveLength(3);
      expect(await h1.ctl('apply', '-f', write('all.yaml', document))).toMatch(/\+ port c4/);
      expect(await stream.finish()).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
    });

    it('watch tells of a document that is applied', async () => {
      const watching = watchCtl('watch', '-o', 'json');
      const file = write('mtu.yaml', document.replace('mtu: 1500', 'mtu: 1400'));
      // The event may come before the watch has begun: apply something else until it is seen.
      await watching.waitFor(async () => {
        if (watching.stdout.includes('"applied"')) return true;
        await h1.ctl('apply', '-f', file);
        await h1.ctl('apply', '-f', lab.path('all.yaml'));
        return false;
      });
      await watching.stop();
      const [line = ''] = watching.stdout.split('\n');
      expect(JSON.parse(line)).toMatchObject({
        kind: 'applied',
        name: expect.stringMatching(/^revision \d+$/),
      });
    });

    it.each([
      [['frobnicate'], 2],
      [['get', 'prots'], 2],
      [['get', 'port', 'nobody'], 5],
      [['capture', 'nobody'], 5],
      [['flows', '--port', 'nobody'], 5],
      [['apply', '-f', '/nonexistent/net.yaml'], 2],
      [['--socket', '/nonexistent/socket', 'status'], 3],
    ])('%j ends with exit code %i and a sentence', async (args, expected) => {
      const { code, stdout, stderr } = await h1.tryCtl(...args);
      expect([code, stdout]).toEqual([expected, '']);
      expect(stderr).toMatch(/^vtepctl: .{10}/);
    });

    it('a wrong document ends with exit code 4, names the line, and changes nothing', async () => {
      const { revision } = await h1.status();
      const file = write('wrong.yaml', document.replace('vni: 100', 'vni: 0').replace('p3', 'p1'));
      const { code, stderr } = await h1.tryCtl('apply', '-f', file);
      expect(code).toBe(4);
      expect(stderr).toMatch(/wrong\.yaml:\d+:\d+: networks\[0\]\.vni: /);
      expect((await h1.status()).revision).toBe(revision);
    });
  });

  describe('capturing', () => {
    beforeEach(expectHeard);

    it('a capture of all ports shows a packet before and after encapsulation', async (context) => {
      requires(context, 'command:tshark');
      const { c1, c2 } = topology.containers;
      const file = lab.path('all.pcapng');
      const capture = watchCtl('capture', '-w', file);
      await waitUntil(() => existsSync(file), { what: 'the capture to begin' });
      await expectHeard();
      await spoof(3);
      await waitUntil(async () => (await packetsOf(file)) >= 13, { what: 'captured packets' });
      capture.signal('SIGINT');
      expect((await capture.exited).code).toBe(0);
      const fields = await tsharkFields(file, [
        'frame.interface_name',
        'frame.comment',
        'frame.protocols',
        'ip.src',
      ]);
      const frames = fields.map((frame) => ({
        port: frame['frame.interface_name'][0],
        comment: frame['frame.comment'][0] ?? '',
        protocols: frame['frame.protocols'][0] ?? '',
        sources: frame['ip.src'],
      }));
      const plain = frames.filter(
        ({ port, protocols }) => port === 'c1' && /ip:icmp/.test(protocols),
      );
      expect(plain.map(({ sources }) => sources[0])).toEqual(
        expect.arrayContaining([c1.ip, c2.ip]),
      );
      expect(plain.some(({ comment }) => /^rx: forwarded to u1/.test(comment))).toBe(true);
      const inside = frames.filter(({ port }) => port === 'u1');
      expect(
        inside.some(({ protocols }) => /udp:vxlan:eth:ethertype:ip:icmp/.test(protocols)),
      ).toBe(true);
      const outer = inside.find(({ sources }) => sources[0] === topology.hosts.h1.ip);
      expect(outer).toMatchObject({
        sources: ['172.31.1.1', c1.ip],
        comment: expect.stringMatching(/^tx/),
      });
      // The first of them asks the slow path; its answer is the flow that drops the others.
      const spoofed = frames.filter(({ sources }) => sources[0] === '10.0.0.66');
      const comments = spoofed.map(({ comment }) => comment);
      expect(comments).toContainEqual(expect.stringMatching(/^rx: dropped, spoofed_ip/));
    });

    it('a capture of one port ends after its count', async () => {
      const capture = watchCtl('capture', 'c1', '--count', '2');
      await capture.waitFor(async () => {
        await ping(lab, 'c1', topology.containers.c2.ip, { count: 1 });
        return !capture.running;
      });
      const lines = capture.stdout.trim().split('\n');
      expect(lines).toHaveLength(2);
      for (const line of lines)
        expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{6} {2}c1 {2}\d+ B .*\[[rt]x/);
    });

    it('a capture of the uplink has encapsulated packets only', async () => {
      const capture = watchCtl('capture', 'uplink', '--count', '4', '-o', 'json');
      await capture.waitFor(async () => {
        await ping(lab, 'c1', topology.containers.c2.ip, { count: 1 });
        return !capture.running;
      });
      const packets = capture.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(packets.map((one) => one.interface)).toEqual(['u1', 'u1', 'u1', 'u1']);
      for (const { summary } of packets) expect(summary).toMatch(/udp vxlan 100 \| /);
    });

    it('a capture of an idle port ends after its seconds, as a whole file', async (context) => {
      requires(context, 'command:tshark');
      const file = lab.path('idle.pcapng');
      const begun = performance.now();
      const { code, stderr } = await h1.tryCtl('capture', 'c3', '--seconds', '1', '-w', file);
      expect(code).toBe(0);
      expect(stderr).toBe(`0 packets written to ${file}\n`);
      expect(performance.now() - begun).toBeLessThan(5000);
      expect(await tsharkFields(file, ['frame.number'])).toEqual([]);
    });

    it('captures cost nothing when their readers have left', async () => {
      const before = await h1.json('top', '--once');
      await ping(lab, 'c1', topology.containers.c2.ip, { count: 5 });
      const after = await h1.json('top', '--once');
      expect(after.slowPath.upcalls - before.slowPath.upcalls).toBeLessThanOrEqual(2);
      expect((await run('ip', ['netns', 'pids', lab.realName('h1')])).code).toBe(0);
    });
  });

  describe('from afar', () => {
    it('serves whose certificate its authority has signed, and nobody else', async (context) => {
      requires(context, 'command:curl', 'command:openssl');
      await makeCertificates();
      const file = (name: string) => lab.path(name);
      const [cert, key, ca] = ['server.pem', 'server.key', 'ca.pem'].map(file);
      const tls = `tls: { cert: ${cert}, key: ${key}, ca: ${ca} }`;
      await lab.namespace('h3');
      const remoteHost = new Vtepd(lab, 'h3', {
        control: `listen: "127.0.0.1:8443", ${tls}`,
      });
      await remoteHost.start();
      const curl = (...args: string[]) =>
        lab.exec('h3', 'curl', ['-sS', '--cacert', file('ca.pem'), ...args]);
      const as = (name: string) => ['--cert', file(`${name}.pem`), '--key', file(`${name}.key`)];
      const url = 'https://127.0.0.1:8443/v1/status';
      const answer = await curl(...as('client'), url);
      expect(answer.stderr).toBe('');
      expect(JSON.parse(answer.stdout).host).toBe('h3');
      for (const wrong of [[], as('stranger')]) {
        const refused = await curl(...wrong, url);
        expect(refused.code, refused.stdout).not.toBe(0);
        expect(refused.stdout).toBe('');
      }
      expect((await curl(...as('client'), 'http://127.0.0.1:8443/v1/status')).code).not.toBe(0);
      remoteHost.expectQuietLog();
      await remoteHost.stopAll();
    });
  });

  describe('after a crash', () => {
    it('watch tells of a datapath that was killed and is back, and status counts it', async () => {
      const watching = watchCtl('watch');
      const { datapath } = await h1.status();
      await watching.waitFor(async () => {
        if (/ applied +revision/.test(watching.stdout)) return true;
        await h1.ctl('apply', '-f', write('mtu.yaml', document.replace('mtu: 1500', 'mtu: 1400')));
        await h1.ctl('apply', '-f', write('all.yaml', document));
        return false;
      });
      process.kill(datapath.pid, 'SIGKILL');
      await watching.waitFor(/datapath +datapath +gone/);
      await watching.waitFor(/datapath +datapath +back after \d+ ms/);
      await watching.stop();
      const now = await h1.status();
      expect(now.datapath).toMatchObject({ state: 'attached', restarts: 1 });
      expect(await h1.ctl('status')).toMatch(/^restarts +1 of the datapath, the last recovery/m);
      expect((await ping(lab, 'c1', topology.containers.c2.ip)).received).toBe(3);
      const { stdout } = await run('ip', ['netns', 'pids', lab.realName('h1')]);
      expect(stdout.split('\n')).toContain(String(now.datapath.pid));
      process.kill(now.datapath.pid, 'SIGTERM');
      await h1.stop();
    });
  });
});
