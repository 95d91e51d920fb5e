// e2e/restart.test.ts — the brain may die: traffic goes on, and the next brain takes over.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { useLab } from '../support/netns.ts';
import { alive } from '../support/process.ts';
import { describeWith } from '../support/requires.ts';
import { twoHosts } from '../support/topology.ts';
import { datagramStream, ping, steadyStream } from '../support/traffic.ts';
import { documentFor, startBoth, Vtepd } from '../support/vtepd.ts';
import { waitUntil } from '../support/wait.ts';

const choice = { encap: 'vxlan', underlay: 'ipv4', tenants: false } as const;
const recoveryMaxMs = 3000;

/** SIGSEGV to one thread, as its own fault would be: Node can signal processes only. */
const hitThread = [
  'import ctypes, platform, signal, sys',
  "number = {'x86_64': 234, 'aarch64': 131}[platform.machine()]  # tgkill",
  'ctypes.CDLL(None).syscall(number, int(sys.argv[1]), int(sys.argv[2]), signal.SIGSEGV)',
].join('\n');

describeWith(['root'], 'restarts', () => {
  const useWorld = useLab();

  it('kill -9 of vtepd and its restart lose no packet and break no connection', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h1, h2, document } = await startBoth(lab, topology, choice);
    const path = { from: 'c1', to: 'c2', address: topology.containers.c2.ip };
    const stream = await steadyStream(lab, { ...path, port: 7001 });
    const numbered = await datagramStream(lab, { ...path, port: 7002 }, { count: 100_000 });
    for (const daemon of [h1, h2]) {
      const before = await daemon.json('flows');
      expect(before.length).toBeGreaterThan(0);
      await daemon.kill9();
      const heard = await ping(lab, 'c1', path.address, { count: 20 });
      expect(heard.received, 'while vtepd is dead').toBe(20);
      await daemon.start();
      const { datapath } = await daemon.status();
      expect(datapath.reconciled).toMatchObject({ replaced: 0, removed: 0 });
      expect(datapath.reconciled?.kept).toBeGreaterThanOrEqual(1);
      await daemon.apply(document);
    }
    const steady = await stream.finish();
    expect(steady).toMatchObject({ ok: true, closedEarly: false });
    const counted = await numbered.finish();
    expect(counted).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
    process.stdout.write(`longest gap: TCP ${steady.maxGapMs} ms, UDP ${counted.maxGapMs} ms\n`);
  });

  it('a new vtepd replaces the flows that its document makes wrong', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h1 } = await startBoth(lab, topology, choice);
    const { c2 } = topology.containers;
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    await h1.kill9();
    const stored = lab.path('h1-state', 'state.json');
    const moved = readFileSync(stored, 'utf8').replaceAll('"vni": 100', '"vni": 101');
    writeFileSync(stored, moved);
    await h1.start();
    const { datapath } = await h1.status();
    const { replaced = 0, removed = 0 } = datapath.reconciled ?? {};
    expect(replaced + removed).toBeGreaterThan(0);
    expect((await ping(lab, 'c1', c2.ip, { wait: 1 })).received, 'h2 knows no VNI 101').toBe(0);
  });

  it('a datapath that dies is started again and programmed anew', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h1 } = await startBoth(lab, topology, choice);
    const { c2 } = topology.containers;
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    const old = h1.datapathPid;
    process.kill(old, 'SIGKILL');
    const recovered = async () => {
      const { datapath } = await h1.status();
      return datapath.state === 'attached' && datapath.pid !== old;
    };
    await waitUntil(recovered, { timeoutMs: 10_000, what: () => 'a new datapath' });
    const { datapath } = await h1.status();
    process.stdout.write(`datapath restarted and reprogrammed in ${datapath.lastRecoveryMs} ms\n`);
    expect(datapath.lastRecoveryMs).toBeLessThan(recoveryMaxMs);
    expect((await ping(lab, 'c1', c2.ip)).received).toBe(3);
    process.kill(datapath.pid, 'SIGTERM');
  });

  it('a worker that crashes is named in the log, and another datapath is started', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h1 } = await startBoth(lab, topology, choice);
    const old = h1.datapathPid;
    const name = (task: string) => readFileSync(`/proc/${old}/task/${task}/comm`, 'utf8').trim();
    const worker = readdirSync(`/proc/${old}/task`).find((task) => name(task) === 'vtep-worker0');
    await lab.must('h1', '/usr/bin/python3', ['-c', hitThread, `${old}`, `${worker}`]);
    const recovered = async () => {
      const { datapath } = await h1.status();
      return datapath.state === 'attached' && datapath.pid !== old;
    };
    await waitUntil(recovered, { timeoutMs: 10_000, what: () => 'a new datapath' });
    const logs = readdirSync(lab.path('.')).filter((name) => name.endsWith('.sock.log'));
    const said = logs.map((name) => readFileSync(lab.path(name), 'utf8')).join('');
    const lastWords = /: SIGSEGV in thread vtep-worker0, code 0x[0-9a-f]+/;
    expect(said).toMatch(lastWords);
    expect(readFileSync(lab.path('h1.log'), 'utf8')).toMatch(lastWords);
    expect((await ping(lab, 'c1', topology.containers.c2.ip)).received).toBe(3);
  });

  it('a datapath stopped by SIGTERM leaves no program, device or socket behind', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab, { containers: ['c1'] });
    const h1 = new Vtepd(lab, 'h1', { config: ['tunnel: { mode: af_xdp_generic }'] });
    await h1.start();
    await h1.apply(
      documentFor(topology, { ...choice, kind: { port: 'auto', uplink: 'af_xdp_generic' } }),
    );
    await h1.stop();
    await h1.stopDatapath();
    const links = await lab.must('h1', 'ip', ['-details', 'link', 'show']);
    expect(links.stdout).not.toMatch(/xdp/);
    const filters = await lab.must('h1', 'tc', ['qdisc', 'show']);
    expect(filters.stdout).not.toMatch(/clsact/);
    expect(readdirSync(lab.path('.')).filter((name) => name.endsWith('.sock'))).toEqual([]);
  });

  it('a second vtepd for one host refuses, and the first goes on', async () => {
    const lab = useWorld();
    const topology = await twoHosts(lab);
    const { h1 } = await startBoth(lab, topology, choice);
    const second = lab.spawn('h1', process.execPath, [
      'dist/main.js',
      '--config',
      lab.path('h1.yaml'),
    ]);
    const { code } = await second.exited;
    expect(code).not.toBe(0);
    expect(second.stderr).toMatch(/another vtepd/);
    expect(alive(h1.pid)).toBe(true);
    expect((await ping(lab, 'c1', topology.containers.c2.ip)).received).toBe(3);
  });

  it('of two vtepds that start at once one refuses, and there is one datapath', async () => {
    const lab = useWorld();
    await lab.namespace('h1');
    const h1 = new Vtepd(lab, 'h1');
    const both = [h1.spawn(), h1.spawn()];
    const { code } = await Promise.race(both.map(({ exited }) => exited));
    expect(code).not.toBe(0);
    const [winner, ...others] = both.filter(({ running }) => running);
    expect(others).toEqual([]);
    await h1.ready(winner!);
    const datapaths = async () => {
      const { stdout } = await lab.must('h1', 'ip', ['netns', 'pids', lab.realName('h1')]);
      const pids = stdout.split('\n').filter(Boolean);
      return pids.filter((pid) => commandOf(pid).includes('datapath/main.js'));
    };
    await waitUntil(async () => (await datapaths()).length === 1, { what: 'one datapath' });
    expect(await datapaths()).toEqual([`${h1.datapathPid}`]);
  });
});

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // It has ended in between.
  }
}
