// support/vtepd.ts — real vtepd daemons on the hosts of a lab, driven through vtepctl as by users.
//
// A daemon is killed or restarted alone; its datapath process goes on until the lab closes, which
// ends everything that runs in its namespaces. What is only looked at (is it ready? what was
// dropped?) is asked through vtepctl's own client, without a process for each look. At the end the
// log is searched: a line of level warn or above that the test did not announce fails it.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { ControlClient } from '../../src/control/client.ts';
import type { SwitchStatus } from '../../src/control/switch-api.ts';
import type { Lab } from './netns.ts';
import { alive, type ManagedProcess, run } from './process.ts';
import type { Container, TwoHosts, Underlay } from './topology.ts';
import { waitUntil } from './wait.ts';

// The benches run from a folder of their own and say where the compiled programs are.
const dist = process.env.VTEPD_DIST ?? fileURLToPath(new URL('../../dist', import.meta.url));
const main = join(dist, 'main.js');
const vtepctl = join(dist, 'cli', 'vtepctl.js');
const warnLevel = 40;

export interface VtepdOptions {
  /** Lines of the configuration beside host, sockets and state: `tunnel: { mode: af_xdp }`. */
  config?: readonly string[];
  /** More of `control`, such as `listen: "127.0.0.1:8443", tls: { ... }`. */
  control?: string;
}

/** One host's daemon. */
export class Vtepd {
  readonly host: string;
  readonly socket: string;
  readonly #lab: Lab;
  readonly #configFile: string;
  readonly #log: string;
  readonly #client: ControlClient;
  #process: ManagedProcess | undefined;
  #datapathPid = 0;

  constructor(lab: Lab, host: string, options: VtepdOptions = {}) {
    this.#lab = lab;
    this.host = host;
    this.socket = lab.path(`${host}.sock`);
    this.#client = new ControlClient(this.socket);
    this.#configFile = lab.path(`${host}.yaml`);
    this.#log = lab.path(`${host}.log`);
    writeFileSync(
      this.#configFile,
      [
        `host: ${host}`,
        `control: { ${[`socket: ${this.socket}`, options.control].filter(Boolean).join(', ')} }`,
        ...(options.config?.some((line) => line.startsWith('datapath:'))
          ? []
          : [`datapath: { socket: ${lab.path(`${host}-dp.sock`)} }`]),
        `state: ${lab.path(`${host}-state`)}`,
        ...(options.config ?? []),
        '',
      ].join('\n'),
    );
    lab.onClose(() => this.stopAll());
    lab.onFailure(() => this.#report());
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  get datapathPid(): number {
    return this.#datapathPid;
  }

  get configFile(): string {
    return this.#configFile;
  }

  /** Starts the daemon and waits for nothing. */
  spawn(): ManagedProcess {
    const args = [main, '--config', this.#configFile];
    this.#process = this.#lab.spawn(this.host, process.execPath, args, { log: this.#log });
    return this.#process;
  }

  /** Starts the daemon and waits until its control API answers. */
  async start(): Promise<void> {
    await this.ready(this.spawn());
  }

  /** Waits until the control API of the daemon that was spawned answers. */
  async ready(daemon: ManagedProcess): Promise<void> {
    await daemon.waitFor(() => this.status().catch(() => undefined));
    this.#datapathPid = (await this.status()).datapath.pid;
  }

  /** Runs vtepctl; a failure is a result. */
  tryCtl(...args: string[]) {
    return run(process.execPath, [vtepctl, '--socket', this.socket, ...args]);
  }

  /** Runs vtepctl, which must succeed, and gives its output. */
  async ctl(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tryCtl(...args);
    if (code !== 0) throw new Error(`vtepctl ${args.join(' ')} (${this.host}): ${stderr}${stdout}`);
    return stdout;
  }

  async json(...args: string[]) {
    return JSON.parse(await this.ctl(...args, '-o', 'json'));
  }

  /** What `vtepctl status -o json` prints, without a process for it. */
  status(): Promise<SwitchStatus> {
    return this.#client.status();
  }

  async apply(document: string, ...options: string[]): Promise<void> {
    const file = this.#lab.path(`${this.host}-net.yaml`);
    writeFileSync(file, document);
    await this.ctl('apply', '-f', file, ...options);
  }

  /** Packets that ended by a reason, on all ports. */
  async dropped(reason: string): Promise<number> {
    const drops = await this.#client.drops();
    return drops.find((drop) => drop.reason === reason)?.packets ?? 0;
  }

  /** Every drop so far as text: how many packets, why, at which port. */
  async #drops(): Promise<string[]> {
    const drops = await this.#client.drops();
    const happened = drops.filter(({ packets }) => packets > 0);
    return happened.flatMap(({ reason, ports }) =>
      ports.map(({ port, packets }) => `${packets} of ${reason} at ${port}`),
    );
  }

  /**
   * Fails on any dropped packet, and says how many, why and at which ports. With `alone`, ports may
   * be the only ones of their network: what their kernels tell everybody at a time of their own
   * choice (MLD reports, RFC 3810 section 6.1) goes to nobody, `group_empty`.
   */
  async expectNoDrops({ alone = false } = {}): Promise<void> {
    const drops = await this.#drops();
    const faults = alone ? drops.filter((drop) => !drop.includes(' group_empty ')) : drops;
    expect(faults, `drops on ${this.host}`).toEqual([]);
  }

  async #report(): Promise<string> {
    const drops = await this.#drops().catch((error: Error) => [error.message]);
    const log = readFileSync(this.#log, 'utf8').trimEnd();
    return `${this.host} dropped: ${drops.join(', ') || 'nothing'}\n${this.host} logged: ${log}`;
  }

  /** SIGKILL to the daemon alone: its datapath goes on. */
  async kill9(): Promise<void> {
    if (this.#process === undefined) return;
    process.kill(this.#process.pid, 'SIGKILL');
    await this.#process.exited;
  }

  /** SIGTERM to the daemon alone. */
  async stop(): Promise<void> {
    await this.#process?.stop();
  }

  async stopDatapath(): Promise<void> {
    if (this.#datapathPid <= 0 || !alive(this.#datapathPid)) return;
    process.kill(this.#datapathPid, 'SIGTERM');
    const gone = () => !alive(this.#datapathPid);
    await waitUntil(gone, { timeoutMs: 5000, what: () => 'the datapath process to end' });
  }

  async stopAll(): Promise<void> {
    await this.stop();
    await this.stopDatapath();
  }

  /** Fails on log lines of level warn or above, but for those that match `expected`. */
  expectQuietLog(...expected: RegExp[]): void {
    const loud = readFileSync(this.#log, 'utf8')
      .split('\n')
      .filter((line) => !line.startsWith('{') || JSON.parse(line).level >= warnLevel)
      .filter((line) => line !== '' && !expected.some((pattern) => pattern.test(line)));
    expect(loud).toEqual([]);
  }
}

/** How the containers' ports and the uplinks take their frames. */
export interface Kind {
  readonly port: string;
  readonly uplink: string;
}

export interface NetworkChoice {
  readonly encap: 'vxlan' | 'geneve';
  readonly underlay: Underlay;
  readonly kind?: Kind;
  /** True: blue has c1 and c2, red has c3 and c4. False: all four are in blue. */
  readonly tenants: boolean;
  readonly mtu?: number;
}

/** The usual two hosts with their containers, or with some of them. */
type SomeHosts = Pick<TwoHosts, 'hosts'> & { readonly containers: Record<string, Container> };

/** The document for the usual two hosts and four containers. */
export function documentFor({ hosts, containers }: SomeHosts, choice: NetworkChoice): string {
  const mtu = choice.mtu ?? 1500;
  const network = (name: string, vni: number) =>
    `  - { name: ${name}, vni: ${vni}, encap: ${choice.encap}, mtu: ${mtu} }`;
  const ports = Object.values(containers).map((one) => {
    const tenant = choice.tenants && ['c3', 'c4'].includes(one.ns) ? 'red' : 'blue';
    const mode = choice.kind?.port ?? 'auto';
    const overlay = `network: ${tenant}, mac: "${one.mac}", ips: [${one.ip}, "${one.ip6}"]`;
    const place = `host: ${one.host}, device: ${one.port}, mode: ${mode}`;
    return `  - { name: ${one.ns}, ${overlay}, ${place} }`;
  });
  return [
    'hosts:',
    ...Object.values(hosts).map((one) => `  - { name: ${one.ns}, tunnelIp: "${one.ip}" }`),
    'networks:',
    network('blue', 100),
    network('red', 200),
    'ports:',
    ...ports,
    '',
  ].join('\n');
}

/** Starts daemons side by side; each applies the document, if there is one, when it is ready. */
export async function startAll(daemons: readonly Vtepd[], document?: string): Promise<void> {
  await Promise.all(
    daemons.map(async (daemon) => {
      await daemon.start();
      if (document !== undefined) await daemon.apply(document);
    }),
  );
  if (document !== undefined) await knowEachOther(daemons);
}

/** Applies a document to daemons, side by side. */
export async function applyAll(daemons: readonly Vtepd[], document: string, ...options: string[]) {
  await Promise.all(daemons.map((daemon) => daemon.apply(document, ...options)));
  await knowEachOther(daemons);
}

/**
 * Waits until each host knows the next hop to the others: until then it drops what is for them,
 * tunnel_unresolved. Not for long, since a document may name a host that a test did not make.
 */
async function knowEachOther(daemons: readonly Vtepd[]): Promise<void> {
  const end = performance.now() + nextHopMs;
  const isUnresolved = async (daemon: Vtepd) => (await daemon.status()).warnings.some(isOfTunnel);
  while (performance.now() < end) {
    if (!(await Promise.all(daemons.map(isUnresolved))).includes(true)) return;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}
const isOfTunnel = (warning: string) => warning.startsWith('tunnel to ');
const nextHopMs = 1000;
const lookMs = 20;

/** Starts a daemon on each of two hosts and applies one document to both. */
export async function startBoth(lab: Lab, topology: SomeHosts, choice: NetworkChoice) {
  const config = choice.kind ? [`tunnel: { mode: ${choice.kind.uplink} }`] : [];
  const h1 = new Vtepd(lab, 'h1', { config });
  const h2 = new Vtepd(lab, 'h2', { config });
  const document = documentFor(topology, choice);
  await startAll([h1, h2], document);
  return { h1, h2, document };
}
