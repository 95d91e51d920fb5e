// bench/lab.ts — a vtepd on one thread: real rules, slow path and data path, ports in memory.
//
// The data path runs in manual mode unless told otherwise, so that a bench says when a worker
// breathes and measures work, not wake-ups. Only devices are missing; their cost is not ours to
// measure here.

import { datapathPort } from '../src/datapath/adapter.ts';
import { loadAddon } from '../src/datapath/addon.ts';
import type { WorkerMemory } from '../src/datapath/memory.ts';
import type { LocalDatapath, NativeDatapathOptions } from '../src/datapath/native.ts';
import { Pipeline } from '../src/pipeline/pipeline.ts';
import { type Compiled, compile, nothingCompiled } from '../src/rules/compile.ts';
import { diffCompiled } from '../src/rules/diff.ts';
import { Numbering } from '../src/rules/numbering.ts';
import { SlowPath } from '../src/slowpath/slow-path.ts';
import { benchDocument, host } from './network.ts';

const vxlanPort = 4789;
const genevePort = 6081;
const underlayMtu = 1500;
const breathsMax = 1_000_000;

/** The rules of an overlay, which any number of labs may use one after the other. */
export class LabRules {
  readonly compiled: Compiled;
  readonly pipeline: Pipeline;
  readonly localPort: number;
  readonly uplink: number;

  constructor(remotePorts: number, securityRules = 0) {
    const numbering = new Numbering();
    const document = benchDocument(remotePorts, securityRules);
    this.compiled = compile(document, { host, numbering, uplinkDevice: 'uplink' });
    this.pipeline = new Pipeline();
    this.pipeline.apply(diffCompiled(nothingCompiled, this.compiled).rules);
    this.localPort = numbering.number('devices', 'local0');
    this.uplink = numbering.number('devices', 'uplink');
  }
}

export class Lab {
  readonly datapath: LocalDatapath;
  readonly slowPath: SlowPath;
  /** Of the one worker. */
  readonly memory: WorkerMemory;
  readonly localPort: number;
  readonly uplink: number;

  constructor(rules: LabRules, options: NativeDatapathOptions = {}) {
    this.localPort = rules.localPort;
    this.uplink = rules.uplink;
    this.datapath = loadAddon().createDatapath({ workers: 1, manual: true, ...options });
    this.#install(rules.compiled);
    const datapath = datapathPort(this.datapath);
    this.memory = datapath.memory.workers[0]!;
    this.slowPath = new SlowPath({
      datapath,
      pipeline: rules.pipeline,
      log: (message, error) => {
        throw new Error(message, { cause: error });
      },
    });
  }

  #install({ objects }: Compiled): void {
    const { datapath } = this;
    const tunnelPorts = { vxlanPort, genevePort };
    datapath.setEndpoints(objects.endpoints.map((address) => ({ address, ...tunnelPorts })));
    datapath.setNetworks([...objects.networks.values()]);
    const uplink = { number: this.uplink, name: 'uplink', kind: 'memory', uplink: true } as const;
    datapath.addPort({ ...uplink, ...tunnelPorts, mtu: underlayMtu });
    for (const { number, device } of objects.ports.values()) {
      datapath.addPort({ number, name: device, kind: 'memory' });
    }
    for (const tunnel of objects.tunnels.values()) {
      datapath.setTunnel({ ...tunnel, udpPort: vxlanPort });
      datapath.setNextHop(tunnel.number, {
        uplinkPort: this.uplink,
        sourceMac: '02:00:00:00:ff:01',
        targetMac: '02:00:00:00:ff:02',
        mtu: underlayMtu,
      });
    }
    datapath.setGroups([...objects.groups.values()]);
    for (const { port, vni, zone, vlan } of objects.zones.values()) {
      datapath.setZone(port, vni, zone, vlan);
    }
  }

  /** One breath of the worker; true if it did something. */
  breathe(): boolean {
    return this.datapath.runOnce(0);
  }

  /** Answers all that the worker has asked. */
  answer(): void {
    while (this.slowPath.answer()) {}
  }

  /** One breath of the worker, then answers to all that it asked. */
  turn(): boolean {
    const busy = this.breathe();
    this.answer();
    return busy;
  }

  /** Turns until nothing is left to do. */
  settle(): void {
    for (let breath = 0; breath < breathsMax; breath += 1) {
      const before = this.slowPath.counts.upcalls;
      if (!this.turn() && this.slowPath.counts.upcalls === before) return;
    }
    throw new Error('the data path does not come to rest');
  }

  close(): void {
    this.datapath.close();
  }
}
