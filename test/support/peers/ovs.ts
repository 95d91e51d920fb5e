// support/peers/ovs.ts — Open vSwitch with its userspace datapath, as a VTEP that is not ours.
//
// Each instance has its own database, sockets and logs in the lab's directory, so it never meets
// the machine's own Open vSwitch. br-phy holds the underlay device and its address; br0 the
// containers and the tunnel. The userspace datapath does not finish checksums that a veth left to
// it, and we turn no offloads off: a container behind it gets an internal port of br0 (a tap, which
// has none) as its eth0.

import { mkdirSync, readFileSync } from 'node:fs';
import type { Lab } from '../netns.ts';
import { type ManagedProcess, mustRun, run } from '../process.ts';
import { adoptTap, type Container, type Host } from '../topology.ts';
import { waitUntil } from '../wait.ts';

export interface OvsTunnel {
  type: 'vxlan' | 'geneve';
  remote: string;
  vni: number;
  /** Name of the tunnel's port on br0. */
  name?: string;
  /** Default 4789 or 6081. */
  port?: number;
  /** More options of the interface, such as csum: 'true', tos: 'inherit', df_default: 'false'. */
  options?: Record<string, string>;
}

export interface OvsOptions {
  host: Host;
  tunnels: OvsTunnel[];
  /** Containers that get an internal port of br0 as eth0; made by twoHosts with attach 'tap'. */
  containers: Container[];
  /** MTU of the underlay; default 1600. */
  mtu?: number;
  /** Devices of the host's namespace that join br0 as they are. */
  devices?: string[];
  /** How those and the underlay device are opened; default system. */
  deviceType?: 'system' | 'afxdp';
  /** CPUs of the poll threads, which AF_XDP has; default Open vSwitch's own choice. */
  pollCpuMask?: string;
}

export class Ovs {
  readonly host: Host;
  readonly version: string;
  #lab: Lab;
  #run: string;
  #daemons: ManagedProcess[] = [];

  constructor(lab: Lab, host: Host, version: string) {
    this.#lab = lab;
    this.host = host;
    this.version = version;
    this.#run = lab.path(`ovs-${host.ns}`);
    mkdirSync(this.#run);
  }

  get #environment() {
    return { OVS_RUNDIR: this.#run, OVS_LOGDIR: this.#run, OVS_DBDIR: this.#run };
  }

  get #database() {
    return `unix:${this.#run}/db.sock`;
  }

  async start() {
    const database = `${this.#run}/conf.db`;
    const env = this.#environment;
    await mustRun('ovsdb-tool', ['create', database, '/usr/share/openvswitch/vswitch.ovsschema']);
    const remote = `--remote=punix:${this.#run}/db.sock`;
    const unixctl = (name: string) => `--unixctl=${this.#run}/${name}.ctl`;
    const ns = this.host.ns;
    const spawn = (command: string, args: string[]) => {
      const daemon = this.#lab.spawn(ns, command, args, { env });
      this.#daemons.push(daemon);
      return daemon;
    };
    const server = spawn('ovsdb-server', [database, remote, unixctl('db')]);
    const answers = async (args: string[]) => (await run('ovs-vsctl', args, { env })).code === 0;
    const ask = [`--db=${this.#database}`, '--timeout=2', '--no-wait', 'init'];
    await server.waitFor(() => answers(ask));
    spawn('ovs-vswitchd', [this.#database, unixctl('vs'), `--log-file=${this.#run}/vs.log`]);
    await this.vsctl('show');
  }

  /** ovs-vsctl; waits until the switch has done it, unless told otherwise. */
  vsctl(...args: string[]) {
    const env = this.#environment;
    return mustRun('ovs-vsctl', ['--timeout=15', `--db=${this.#database}`, ...args], { env });
  }

  /** ovs-ofctl on a bridge: ofctl('add-flow', 'br0', '…'). */
  ofctl(verb: string, bridge: string, ...args: string[]) {
    const socket = `unix:${this.#run}/${bridge}.mgmt`;
    return mustRun('ovs-ofctl', ['-O', 'OpenFlow15', verb, socket, ...args]);
  }

  /** ovs-appctl: appctl('dpctl/dump-flows') and the like. */
  appctl(...args: string[]) {
    return mustRun('ovs-appctl', ['--timeout=10', '-t', `${this.#run}/vs.ctl`, ...args]);
  }

  /** The switch's log so far. */
  log() {
    return readFileSync(`${this.#run}/vs.log`, 'utf8');
  }

  async addTunnel(tunnel: OvsTunnel) {
    const name = tunnel.name ?? tunnel.type;
    const port = tunnel.port && { dst_port: String(tunnel.port) };
    const { remote, vni } = tunnel;
    const all = { remote_ip: remote, local_ip: this.host.ip, key: String(vni), ...port };
    const settings = Object.entries({ ...all, ...tunnel.options });
    await this.vsctl(
      ...['add-port', 'br0', name, '--', 'set', 'interface', name, `type=${tunnel.type}`],
      ...settings.map(([key, value]) => `options:${key}="${value}"`),
    );
    return name;
  }

  /** Gives a container an internal port of br0 as its eth0. */
  async addContainer(container: Container) {
    const { port, mtu, mac } = container;
    await this.vsctl(
      ...['add-port', 'br0', port, '--', 'set', 'interface', port, 'type=internal'],
      ...[`mtu_request=${mtu}`, `mac="${mac}"`],
    );
    await adoptTap(this.#lab, container);
  }

  /** Adds a device of the host's namespace to a bridge. */
  addDevice(bridge: string, device: string, type: string) {
    const settings = ['--', 'set', 'interface', device, `type=${type}`];
    return this.vsctl('add-port', bridge, device, ...settings);
  }

  /** Bridges, underlay address and its route inside the switch. */
  async addBridges(mtu: number, deviceType: string) {
    const { ns, device, ip, mac } = this.host;
    const prefix = ip.includes(':') ? 64 : 24;
    await this.#lab.must(ns, 'ip', ['addr', 'flush', 'dev', device, 'scope', 'global']);
    const netdev = (name: string) => ['set', 'bridge', name, 'datapath_type=netdev'];
    const sameMac = `other_config:hwaddr="${mac}"`;
    await this.vsctl(
      ...['add-br', 'br-phy', '--', ...netdev('br-phy'), sameMac],
      ...['--', 'set', 'interface', 'br-phy', `mtu_request=${mtu}`],
    );
    await this.addDevice('br-phy', device, deviceType);
    await this.vsctl('add-br', 'br0', '--', ...netdev('br0'));
    await this.#lab.configure(ns, 'br-phy', { ip: `${ip}/${prefix}` });
    await this.#lab.configure(ns, 'br0', {});
    const routes = async () => (await this.appctl('ovs/route/show')).stdout;
    await waitUntil(async () => (await routes()).includes(`dev br-phy SRC ${ip}`), {
      what: `Open vSwitch to learn the route to ${ip}/${prefix}`,
    });
  }
}

/** Starts an Open vSwitch as a host's VTEP; it ends with the lab. */
export async function ovsVtep(lab: Lab, options: OvsOptions): Promise<Ovs> {
  const { stdout } = await mustRun('ovs-vswitchd', ['--version']);
  const ovs = new Ovs(lab, options.host, /[\d.]+$/m.exec(stdout)?.[0] ?? 'unknown');
  await ovs.start();
  const { mtu = 1600, deviceType = 'system', pollCpuMask } = options;
  if (pollCpuMask !== undefined) {
    await ovs.vsctl('set', 'Open_vSwitch', '.', `other_config:pmd-cpu-mask=${pollCpuMask}`);
  }
  await ovs.addBridges(mtu, deviceType);
  for (const device of options.devices ?? []) await ovs.addDevice('br0', device, deviceType);
  for (const container of options.containers) await ovs.addContainer(container);
  for (const tunnel of options.tunnels) await ovs.addTunnel(tunnel);
  return ovs;
}
