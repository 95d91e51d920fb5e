// bench/peers/vpp.ts — VPP on packet-generator ports: no device, full vectors of 256 packets.
//
// pg0 is the container's port, pg1 the underlay's; one of them replays the packets for ever. Where
// the policy is stateful, the ACL plugin has it (permit+reflect), which keeps one session for both
// directions. Its stateless path has no policy at all: it looks up MAC addresses, not flows. One
// thread polls, so the process is stopped while another system is measured.
//
// Debian has no package of it. Who has VPP installed (https://fd.io) gets it measured.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import type { Lab } from '../../test/support/netns.ts';
import { type ManagedProcess, mustRun, run } from '../../test/support/process.ts';
import { Lack } from '../bench.ts';
import { lastCpu } from './cpus.ts';
import type { Cell, Figure, Peer } from './system.ts';

const daemonPath = '/usr/bin/vpp';
const netns = 'vpp';
/** Until every flow has its session. */
const settleMs = 2000;
const buffers = 16_384;
const forEver = 1_000_000_000_000;
const cyclesPerSecondProbeMs = 50;
/** Sessions that the ACL plugin has room for unless told otherwise. */
const sessionsUsual = 500_000;
const manySessions = [
  'memory { main-heap-size 3G }',
  'acl-plugin { connection count max 2000000 connection hash buckets 524288 }',
];

const rest = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export class Vpp implements Peer {
  readonly name = 'vpp';
  readonly prepareSeconds = settleMs / 1000 + 2;
  readonly version: string;
  readonly #lab: Lab;
  readonly #cpu = lastCpu();
  #daemon: ManagedProcess | undefined;
  #cell = 0;

  private constructor(lab: Lab, version: string) {
    this.#lab = lab;
    this.version = version;
  }

  /** Throws a Lack when it is not installed. */
  static async start(lab: Lab): Promise<Vpp> {
    if (!existsSync(daemonPath)) {
      throw new Lack('VPP is not installed: packages vpp and vpp-plugin-core of https://fd.io');
    }
    const { stdout } = await mustRun(daemonPath, ['--version']);
    await lab.namespace(netns);
    return new Vpp(lab, /\bv(\d\S*)/.exec(stdout)?.[1] ?? 'unknown');
  }

  takes(): boolean {
    return true;
  }

  /** A new process for each cell: it has no command that forgets sessions, tunnels and streams. */
  async prepare(cell: Cell): Promise<void> {
    await this.#daemon?.kill9();
    this.#cell += 1;
    const folder = this.#lab.path(`vpp${this.#cell}`);
    mkdirSync(folder);
    const config = `${folder}/startup.conf`;
    writeFileSync(config, startupConfig(folder, this.#cpu, cell.flows));
    const script = commands(cell);
    this.#daemon = this.#lab.spawn(netns, 'setpriv', [
      ...['--pdeathsig', 'KILL', daemonPath, '-c', config],
    ]);
    await this.#daemon.waitFor(async () => (await this.#tryCtl('show version')).code === 0);
    for (const command of script) await this.#setUp(command);
    await rest(settleMs);
    this.#daemon.signal('SIGSTOP');
  }

  async measure(seconds: number): Promise<Figure> {
    this.#daemon?.signal('SIGCONT');
    await rest(cyclesPerSecondProbeMs);
    await this.#ctl('clear runtime');
    await rest(seconds * 1000);
    const text = await this.#ctl('show runtime');
    this.#daemon?.signal('SIGSTOP');
    return readRuntime(text);
  }

  get #socket(): string {
    return `${this.#lab.path(`vpp${this.#cell}`)}/cli.sock`;
  }

  #tryCtl(command: string) {
    return run('vppctl', ['-s', this.#socket, command]);
  }

  async #ctl(command: string): Promise<string> {
    return (await mustRun('vppctl', ['-s', this.#socket, command])).stdout;
  }

  /**
   * A command that sets something up. vppctl exits with 0 whatever VPP thinks of it: text tells,
   * and there is none but the names of what was made.
   */
  async #setUp(command: string): Promise<void> {
    const text = (await this.#ctl(command)).trim();
    if (/^(pg\d|vxlan_tunnel0|ACL index:0)?$/.test(text)) return;
    throw new Error(`VPP refused "${command}": ${text}`);
  }
}

function startupConfig(folder: string, cpu: number, flows: number): string {
  return [
    `unix { nodaemon cli-listen ${folder}/cli.sock log ${folder}/vpp.log runtime-dir ${folder} }`,
    `socksvr { socket-name ${folder}/api.sock }`,
    `statseg { socket-name ${folder}/stats.sock }`,
    `cpu { main-core ${cpu} }`,
    `buffers { buffers-per-numa ${buffers} page-size default }`,
    'plugins { plugin dpdk_plugin.so { disable } }',
    ...(flows > sessionsUsual ? manySessions : []),
    '',
  ].join('\n');
}

/** The overlay of bench/native/lab.h, and the stream of the cell's packets. */
function commands(cell: Cell): string[] {
  const isDecap = cell.case.startsWith('decap');
  const source = isDecap ? 'pg1' : 'pg0';
  const stream = `name s0 limit ${forEver} maxframe 256 source ${source} interface ${source}`;
  const policy = [
    'set acl-plugin acl permit+reflect src 0.0.0.0/0 dst 0.0.0.0/0 proto 17 ' +
      'sport 0-65535 dport 5001-5001',
    `set acl-plugin interface pg0 ${isDecap ? 'output' : 'input'} acl 0`,
  ];
  return [
    'create packet-generator interface pg0',
    'create packet-generator interface pg1',
    'set interface mac address pg1 02:00:00:00:aa:01',
    'set interface state pg0 up',
    'set interface state pg1 up',
    'set interface ip address pg1 172.31.1.1/24',
    'set ip neighbor pg1 172.31.1.2 02:00:00:00:aa:02',
    'create vxlan tunnel src 172.31.1.1 dst 172.31.1.2 vni 100',
    'set interface ip vxlan-bypass pg1',
    'set interface l2 bridge vxlan_tunnel0 1',
    'set interface l2 bridge pg0 1',
    ...(cell.case.endsWith('stateful') ? policy : []),
    `packet-generator new { ${stream} pcap ${cell.pcap} }`,
    'packet-generator enable-stream s0',
  ];
}

/**
 * Cycles per packet out of what `show runtime` prints: the sum over all nodes of vectors times
 * clocks, divided by the packets that came in (its clocks are TSC cycles per packet).
 */
export function readRuntime(text: string): Figure {
  const time = Number(/Time ([\d.]+)/.exec(text)?.[1]);
  // Name, state, calls, vectors, suspends, clocks, vectors per call.
  const line = /^(\S+)\s+(?:active|polling|any wait|event wait|interrupt wait|done)\s+(.*)$/gm;
  const nodes = [...text.matchAll(line)].map(([, name, columns]) => {
    const [, vectors, , clocks] = columns!.trim().split(/\s+/).map(Number);
    return { name: name!, vectors: vectors!, clocks: clocks! };
  });
  const packets = nodes.find(({ name }) => name === 'pg-input')?.vectors ?? 0;
  const sent = nodes.filter(({ name }) => /^pg\d-tx$/.test(name));
  if (packets === 0 || !(time > 0)) throw new Error(`VPP measured nothing:\n${text}`);
  const lost = packets - sent.reduce((sum, { vectors }) => sum + vectors, 0);
  // A vector may be on its way when it is asked.
  if (Math.abs(lost) > 256) throw new Error(`VPP lost ${lost} of ${packets} packets:\n${text}`);
  const cycles = nodes.reduce((sum, { vectors, clocks }) => sum + vectors * clocks, 0) / packets;
  return { cycles, mpps: packets / time / 1e6 };
}
