// bench/peers/ovs-dpdk.ts — Open vSwitch with DPDK on ports in memory: no device, no kernel.
//
// Port p0 of br0 is the container's, u0 of br-phy the underlay's; both are DPDK's pcap devices, one
// of which replays the packets for ever. Database, sockets and logs are in the lab's folder, the
// addresses in a namespace of its own, so that the machine's own Open vSwitch is not met. The poll
// thread takes its core whole: the process is stopped while another system is measured.

import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import type { Lab } from '../../test/support/netns.ts';
import { type ManagedProcess, mustRun, run } from '../../test/support/process.ts';
import { Lack } from '../bench.ts';
import { writeInput } from '../programs.ts';
import { lastCpu } from './cpus.ts';
import { reserveHugePages } from './huge-pages.ts';
import type { Cell, Figure, Peer } from './system.ts';

/** Where Debian's package keeps the daemon that is linked with DPDK. */
const daemonPath = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk';
const schema = '/usr/share/openvswitch/vswitch.ovsschema';
const hugePages = 1100;
const memoryMib = 2048;
/** The pcap device holds all its packets in buffers at once; more than these do not fit. */
const flowsMax = 100_000;
const netns = 'ovs';
/** Until every flow has its connection and cache entry. */
const settleMs = 3000;
/** What the poll thread takes at once; a few bursts may be on their way when it is asked. */
const burst = 32;
const burstsUnderWay = 4;
const bridgeMac = '02:00:00:00:aa:01';
const remoteMac = '02:00:00:00:aa:02';

const rest = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export class OvsDpdk implements Peer {
  readonly name = 'ovs-dpdk';
  readonly prepareSeconds = settleMs / 1000 + 2;
  readonly version: string;
  readonly #lab: Lab;
  readonly #folder: string;
  readonly #environment: Record<string, string>;
  #daemon: ManagedProcess | undefined;

  private constructor(lab: Lab, version: string) {
    this.#lab = lab;
    this.version = version;
    this.#folder = lab.path('ovs-dpdk');
    const folder = this.#folder;
    this.#environment = { OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder };
  }

  /** Starts it; it ends with the lab. Throws a Lack when this machine cannot run it. */
  static async start(lab: Lab): Promise<OvsDpdk> {
    if (!existsSync(daemonPath)) {
      const packages = 'openvswitch-switch-dpdk librte-meta-net librte-meta-mempool';
      throw new Lack(`Open vSwitch with DPDK is not installed: apt-get install ${packages}`);
    }
    const { stdout } = await mustRun(daemonPath, ['--version']);
    const versions = /vSwitch\) ([\d.]+)[\s\S]*DPDK ([\d.]+)/.exec(stdout);
    const peer = new OvsDpdk(lab, `${versions?.[1]} with DPDK ${versions?.[2]}`);
    const giveBack = reserveHugePages(hugePages);
    // Also when the process exits early: the lab then kills, and the pages are free.
    process.once('exit', giveBack);
    lab.onClose(() => {
      process.removeListener('exit', giveBack);
      giveBack();
    });
    await peer.#start();
    return peer;
  }

  takes(cell: Cell): boolean {
    return cell.flows <= flowsMax;
  }

  async #start(): Promise<void> {
    await this.#lab.namespace(netns);
    mkdirSync(this.#folder);
    const database = `${this.#folder}/conf.db`;
    await mustRun('ovsdb-tool', ['create', database, schema]);
    const socket = `${this.#folder}/db.sock`;
    const ctl = (name: string) => `--unixctl=${this.#folder}/${name}.ctl`;
    const server = this.#spawn('ovsdb-server', [database, `--remote=punix:${socket}`, ctl('db')]);
    const ask = ['--timeout=2', `--db=unix:${socket}`, '--no-wait', 'init'];
    const env = this.#environment;
    await server.waitFor(async () => (await run('ovs-vsctl', ask, { env })).code === 0);
    const cpu = lastCpu();
    await this.#vsctl(
      ...['--no-wait', 'set', 'Open_vSwitch', '.', 'other_config:dpdk-init=true'],
      `other_config:pmd-cpu-mask=0x${(1n << BigInt(cpu)).toString(16)}`,
      `other_config:dpdk-socket-mem=${memoryMib}`,
      'other_config:dpdk-extra=--no-pci --in-memory',
    );
    const log = `--log-file=${this.#folder}/vs.log`;
    this.#daemon = this.#spawn(daemonPath, [`unix:${socket}`, ctl('vs'), log]);
    await this.#daemon.waitFor(async () => (await this.#tryCtl('version')).code === 0);
  }

  /** In the lab's namespace, and gone with this process even when that is killed. */
  #spawn(command: string, args: string[]): ManagedProcess {
    const all = ['--pdeathsig', 'KILL', command, ...args];
    return this.#lab.spawn(netns, 'setpriv', all, { env: this.#environment });
  }

  #vsctl(...args: string[]) {
    const all = ['--timeout=30', `--db=unix:${this.#folder}/db.sock`, ...args];
    return mustRun('ovs-vsctl', all, { env: this.#environment, timeout: 40_000 });
  }

  #tryCtl(...args: string[]) {
    return run('ovs-appctl', ['--timeout=20', '-t', `${this.#folder}/vs.ctl`, ...args]);
  }

  #ctl(...args: string[]) {
    return mustRun('ovs-appctl', ['--timeout=20', '-t', `${this.#folder}/vs.ctl`, ...args]);
  }

  #ofctl(...args: string[]) {
    return mustRun('ovs-ofctl', args, { env: this.#environment });
  }

  async prepare(cell: Cell): Promise<void> {
    this.#daemon?.signal('SIGCONT');
    const one = this.#lab.path('one.pcap');
    await writeInput({ case: 'encap', flows: 1 }, one);
    await this.#vsctl('--if-exists', 'del-br', 'br0', '--', '--if-exists', 'del-br', 'br-phy');
    await this.#addBridges();
    const isDecap = cell.case.startsWith('decap');
    const [from, to] = isDecap ? ['vx0', 'p0'] : ['p0', 'vx0'];
    // What replays comes last, when its policy is there.
    if (isDecap) {
      await this.#addPort('br0', 'p0', `net_pcap0,rx_pcap=${one}`);
      await this.#setPolicy(from, to, cell.case.endsWith('stateful'));
      await this.#addPort('br-phy', 'u0', `net_pcap1,rx_pcap=${cell.pcap},infinite_rx=1`);
    } else {
      await this.#addPort('br-phy', 'u0', `net_pcap1,rx_pcap=${one}`);
      await this.#addPort('br0', 'p0', `net_pcap0,rx_pcap=${cell.pcap},infinite_rx=1`);
      await this.#setPolicy(from, to, cell.case.endsWith('stateful'));
    }
    await rest(settleMs);
    this.#daemon?.signal('SIGSTOP');
  }

  async #addBridges(): Promise<void> {
    await this.#vsctl(
      ...['add-br', 'br-phy', '--', 'set', 'bridge', 'br-phy', 'datapath_type=netdev'],
      `other-config:hwaddr="${bridgeMac}"`,
      ...['--', 'add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev'],
      'fail-mode=secure',
    );
    await this.#lab.configure(netns, 'br-phy', { ip: '172.31.1.1/24' });
    await this.#vsctl(
      ...['add-port', 'br0', 'vx0', '--', 'set', 'interface', 'vx0', 'type=vxlan'],
      ...['options:remote_ip=172.31.1.2', 'options:local_ip=172.31.1.1', 'options:key=100'],
    );
    await this.#ctl('tnl/neigh/set', 'br-phy', '172.31.1.2', remoteMac);
  }

  async #addPort(bridge: string, port: string, device: string): Promise<void> {
    await this.#vsctl(
      ...['add-port', bridge, port, '--', 'set', 'interface', port, 'type=dpdk'],
      `options:dpdk-devargs="${device}"`,
    );
  }

  /** As bench/native/lab.h has it. */
  async #setPolicy(from: string, to: string, stateful: boolean): Promise<void> {
    const bridge = `unix:${this.#folder}/br0.mgmt`;
    await this.#ofctl('del-flows', bridge);
    const ours = 'udp,tp_dst=5001';
    const flows = stateful
      ? [
          `table=0,priority=100,ip,in_port=${from},actions=ct(table=1,zone=1)`,
          `table=1,priority=100,ct_state=+trk+new,${ours},actions=ct(commit,zone=1),output:${to}`,
          `table=1,priority=100,ct_state=+trk+est,ip,actions=output:${to}`,
        ]
      : [`priority=100,in_port=${from},${ours},dl_dst=02:00:00:00:00:02,actions=output:${to}`];
    for (const flow of flows) await this.#ofctl('add-flow', bridge, flow);
  }

  /**
   * OVS counts cycles by the clock, so those in which the kernel gave the core to somebody else are
   * taken out again; on a quiet machine there are none.
   */
  async measure(seconds: number): Promise<Figure> {
    this.#daemon?.signal('SIGCONT');
    await this.#ctl('dpif-netdev/pmd-stats-clear');
    const before = this.#pollThreadTime();
    await rest(seconds * 1000);
    const after = this.#pollThreadTime();
    const { stdout } = await this.#ctl('dpif-netdev/pmd-perf-show');
    this.#daemon?.signal('SIGSTOP');
    const share = (after.ran - before.ran) / (after.now - before.now);
    const { cycles, mpps } = readPerformance(stdout);
    return { cycles: cycles * share, mpps: mpps / share };
  }

  /** How long the poll thread has run, and the time, in nanoseconds. */
  #pollThreadTime(): { ran: number; now: number } {
    const threads = `/proc/${this.#daemon?.pid}/task`;
    const id = readdirSync(threads).find((thread) =>
      readFileSync(`${threads}/${thread}/comm`, 'utf8').startsWith('pmd-'),
    );
    if (id === undefined) throw new Error('Open vSwitch has no poll thread');
    const [ran] = readFileSync(`${threads}/${id}/schedstat`, 'utf8').split(' ');
    return { ran: Number(ran), now: Number(process.hrtime.bigint()) };
  }
}

/** The poll thread's line of received packets, out of what pmd-perf-show prints. */
export function readPerformance(text: string): Figure {
  const number = (pattern: RegExp): number => {
    const found = pattern.exec(text)?.[1];
    if (found === undefined) throw new Error(`Open vSwitch measured nothing:\n${text}`);
    return Number(found);
  };
  const received = number(/Rx packets:\s+(\d+)/);
  const sent = number(/Tx packets:\s+(\d+)/);
  const asked = number(/Upcalls:\s+(\d+)/);
  if (asked > 0) throw new Error(`Open vSwitch asked about ${asked} packets in steady state`);
  if (Math.abs(received - sent) > burstsUnderWay * burst) {
    throw new Error(`Open vSwitch received ${received} packets and sent ${sent}`);
  }
  const cycles = number(/Rx packets:[^\n]*?(\d+) cycles\/pkt/);
  return { cycles, mpps: number(/Rx packets:[^\n]*?(\d+) Kpps/) / 1000 };
}
