// support/model-switch.ts — a whole vtepd in one process: document in, packets in, packets out.
//
// The real compiler, installer, slow path and native data path; only devices and time are replaced:
// every device is a memory port, next hops are given by hand, workers breathe when a test says so,
// and the clock of the slow path can be moved. send() returns when nothing is left to do.

import type { WhyPacket } from '../../src/control/switch-api.ts';
import { datapathPort } from '../../src/datapath/adapter.ts';
import { loadAddon } from '../../src/datapath/addon.ts';
import { DatapathCounters } from '../../src/datapath/counters.ts';
import type { DatapathEvent, EntryEvent } from '../../src/datapath/events.ts';
import { commandKind } from '../../src/datapath/layout.ts';
import type {
  LocalDatapath,
  NativeDatapath,
  NativeNextHop,
  NativeOffload,
  NativePort,
  NativePortConfig,
  NativePortStatus,
} from '../../src/datapath/native.ts';
import { formatActions } from '../../src/flow/actions.ts';
import { dropReasonTexts } from '../../src/flow/drop-reasons.ts';
import { formatMatch } from '../../src/flow/key-text.ts';
import { parseConfig } from '../../src/model/config.ts';
import type { Document } from '../../src/model/document.ts';
import { parseDocument } from '../../src/model/parse.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import { type Compiled, compile, nothingCompiled } from '../../src/rules/compile.ts';
import { diffCompiled } from '../../src/rules/diff.ts';
import { Numbering } from '../../src/rules/numbering.ts';
import { Audit, type Mismatch } from '../../src/slowpath/audit.ts';
import { monotonicMs, SlowPath } from '../../src/slowpath/slow-path.ts';
import { EntryLister } from '../../src/switch/entry-lister.ts';
import { EventPump } from '../../src/switch/event-pump.ts';
import { explain } from '../../src/switch/explain.ts';
import { Installer } from '../../src/switch/installer.ts';
import { namesOf } from '../../src/switch/names.ts';
import { type ChangedConnection, changedConnections } from '../../src/switch/policy-change.ts';

export const uplink = 'uplink';
/** Where tunnels leave unless a test says otherwise. */
export const hostMac = '02:00:00:00:aa:01';
export const nextHopMac = '02:00:00:00:aa:02';
const underlayMtu = 1500;
const roundsMax = 10_000;

export interface Sent {
  /** Device. */
  readonly port: string;
  readonly frame: Uint8Array;
  readonly offload: NativeOffload;
}

export interface Flow {
  readonly match: string;
  readonly actions: string;
  readonly packets: number;
  readonly bytes: number;
}

export interface ModelOptions {
  /** Which host of the document this is. */
  readonly host?: string;
  /** Underlay MTU, L3 bytes. */
  readonly mtu?: number;
  readonly flowMax?: number;
  readonly largeFrames?: number;
  readonly smallFrames?: number;
  readonly upcallRingBytes?: number;
  /** Devices that become pcap ports: each records what leaves by it, or replays a file. */
  readonly pcap?: Readonly<Record<string, Pick<NativePortConfig, 'rxPath' | 'txPath'>>>;
}

let switches = 0;

/** Ports in the place of devices: whatever kind is asked for, and told back as if it were that. */
function withoutDevices(datapath: LocalDatapath, options: ModelOptions): NativeDatapath {
  switches += 1;
  // Memory ports are found by name in the whole process.
  const prefix = `m${switches}.`;
  const asked = new Map<number, NativePortConfig>();
  const addPort = (config: NativePortConfig): NativePortStatus => {
    const name = `${prefix}${config.name}`;
    const pcap = options.pcap?.[config.name];
    const kind = pcap === undefined ? 'memory' : 'pcap';
    const mtu = config.uplink === true ? (options.mtu ?? underlayMtu) : 0;
    const status = datapath.addPort({ ...config, ...pcap, name, kind, mtu });
    asked.set(config.number, config);
    return status;
  };
  const listPorts = (): NativePort[] =>
    datapath.listPorts().map((port) => {
      const config = asked.get(port.number)!;
      return { ...port, ...config, status: { ...port.status, ifindex: port.number } };
    });
  return new Proxy(datapath, {
    get(target, name) {
      if (name === 'addPort') return addPort;
      if (name === 'listPorts') return listPorts;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

export class ModelSwitch {
  readonly datapath: LocalDatapath;
  readonly slowPath: SlowPath;
  readonly numbering = new Numbering();
  readonly counters: DatapathCounters;
  readonly lister: EntryLister;
  readonly audit: Audit;
  /** What entries have carried, after lister.reportEnds(). */
  readonly ended: EntryEvent[] = [];
  /** What the slow path would have logged. */
  readonly logged: string[] = [];
  readonly #options: ModelOptions;
  readonly #installer: Installer;
  readonly #names: ReturnType<typeof namesOf>;
  readonly #pump: EventPump;
  #compiled: Compiled = nothingCompiled;
  #aheadMs = 0;
  #closed = false;

  constructor(document: Document | string, options: ModelOptions = {}) {
    this.#options = options;
    const addon = loadAddon();
    this.datapath = addon.createDatapath({
      workers: 1,
      manual: true,
      flowMax: options.flowMax ?? 4096,
      exactMax: 4096,
      connectionMax: 1024,
      smallFrames: options.smallFrames ?? 4096,
      largeFrames: options.largeFrames ?? 64,
      ...(options.upcallRingBytes === undefined
        ? {}
        : { upcallRingBytes: options.upcallRingBytes }),
    });
    this.counters = new DatapathCounters(this.datapath, addon);
    const native = withoutDevices(this.datapath, options);
    const config = parseConfig(`{ host: ${this.host}, tunnel: { device: ${uplink} } }`);
    const numberOf = (device: string) => this.numbering.number('devices', device);
    this.#installer = new Installer(native, config, numberOf);
    this.#names = namesOf(this.numbering, this.host, () => []);
    this.slowPath = new SlowPath({
      datapath: datapathPort(this.datapath),
      pipeline: new Pipeline(),
      nowMs: () => monotonicMs() + this.#aheadMs,
      log: (message, error) => this.logged.push(`${message}: ${(error as Error).message}`),
    });
    this.lister = new EntryLister(this.datapath);
    this.audit = new Audit(this.slowPath.pipeline, this.slowPath.flows);
    this.#pump = new EventPump((event) => this.#take(event));
    this.#pump.attach(this.datapath);
    this.apply(document);
  }

  #take(event: DatapathEvent): void {
    if (event.kind === 'drop') this.slowPath.drops.take(event);
    else if (event.kind === 'ended') this.ended.push(event);
    else if (event.kind !== 'capture') this.lister.take(event);
  }

  /** The answer to what asks the workers: they work until it is there. */
  async answerTo<Answer>(asked: Promise<Answer>): Promise<Answer> {
    let done = false;
    const end = () => {
      done = true;
    };
    asked.then(end, end);
    while (!done) {
      this.settle();
      this.#pump.drain();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return asked;
  }

  /** What `vtepctl why` would say. */
  why(about: string): Promise<WhyPacket[]> {
    this.#pump.drain();
    const { slowPath, lister } = this;
    const parts = { slowPath, lister, names: this.#names, revision: 1, macsOf: () => [] };
    return this.answerTo(explain(parts, about));
  }

  /** Makes the worker forget all exact entries. */
  flushExact(): void {
    const [worker] = datapathPort(this.datapath).workers;
    worker!.putCommand(commandKind.FlushExact, 0, 0);
    worker!.giveCommands();
    this.settle();
  }

  /** Holds all exact entries against the rules. */
  async auditAll(): Promise<Mismatch[]> {
    return this.audit.judge(await this.answerTo(this.lister.list()));
  }

  /** The live connections that a document would change. */
  changedBy(document: string): Promise<ChangedConnection[]> {
    this.#pump.drain();
    const { slowPath, lister, host, numbering } = this;
    const options = { host, numbering, uplinkDevice: uplink };
    const compiled = compile(parseDocument(document, 'test.yaml'), options, this.#compiled);
    const changes = diffCompiled(this.#compiled, compiled).rules;
    return this.answerTo(changedConnections({ slowPath, lister, names: this.#names, changes }));
  }

  get host(): string {
    return this.#options.host ?? 'h1';
  }

  get compiled(): Compiled {
    return this.#compiled;
  }

  /** Puts a document in force; every flow follows it when this returns. */
  apply(document: Document | string): void {
    this.applyRules(document);
    this.settle();
    this.#installer.remove();
    for (const { device, why } of this.#installer.waiting) throw new Error(`${device}: ${why}`);
  }

  /** The first half of apply(): rules and objects are in, the flows do not follow yet. */
  applyRules(document: Document | string): void {
    const { host, numbering } = this;
    const parsed = typeof document === 'string' ? parseDocument(document, 'test.yaml') : document;
    const options = { host, numbering, uplinkDevice: uplink };
    const compiled = compile(parsed, options, this.#compiled);
    const changes = diffCompiled(this.#compiled, compiled);
    this.#installer.put(compiled.objects);
    for (const { number } of compiled.objects.tunnels.values()) this.nextHop(number);
    this.slowPath.applyRules(changes.rules, compiled.learning);
    this.#compiled = compiled;
  }

  /** Says where a tunnel leaves; null: nobody knows. By name ("h2/vxlan") or number. */
  nextHop(tunnel: string | number, hop: Partial<NativeNextHop> | null = {}): void {
    const number = typeof tunnel === 'number' ? tunnel : this.number('tunnels', tunnel);
    if (hop === null) {
      this.datapath.setNextHop(number, null, 'the test says so');
      return;
    }
    const uplinkPort = this.numbering.number('devices', uplink);
    const mtu = this.#options.mtu ?? underlayMtu;
    const usual = { uplinkPort, sourceMac: hostMac, targetMac: nextHopMac, mtu };
    this.datapath.setNextHop(number, { ...usual, ...hop });
  }

  number(kind: Parameters<Numbering['find']>[0], name: string): number {
    const number = this.numbering.find(kind, name);
    if (number === undefined) throw new Error(`there is no ${name} among ${kind}`);
    return number;
  }

  /** Gives the device a frame, and returns all that leaves until nothing is left to do. */
  send(port: string, frame: Uint8Array, offload?: NativeOffload): Sent[] {
    this.inject(port, frame, offload);
    this.settle();
    return this.collect();
  }

  /** Like send(), many frames in one burst. */
  sendAll(port: string, frames: readonly Uint8Array[]): Sent[] {
    for (const frame of frames) this.inject(port, frame);
    this.settle();
    return this.collect();
  }

  inject(port: string, frame: Uint8Array, offload?: NativeOffload): void {
    this.datapath.inject(this.number('devices', port), frame, offload);
  }

  /** What has left by all ports since the last call. */
  collect(): Sent[] {
    return this.datapath
      .listPorts()
      .filter(({ status }) => status.kind === 'memory')
      .flatMap(({ number }) => {
        const port = this.#names.portName(number) ?? `${number}`;
        return this.datapath.collect(number).map((sent) => ({ port, ...sent }));
      });
  }

  /** Workers and slow path take turns until neither has anything to do. */
  settle(): void {
    for (let round = 0, quiet = 0; quiet < 2; round += 1) {
      if (round > roundsMax) throw new Error('the switch does not come to rest');
      const worked = this.datapath.runOnce(0);
      const upcalls = this.slowPath.counts.upcalls + this.slowPath.counts.followers;
      while (this.slowPath.answer());
      const answered = this.slowPath.counts.upcalls + this.slowPath.counts.followers !== upcalls;
      const done = !this.slowPath.behind || this.slowPath.tick();
      quiet = worked || answered || !done ? 0 : quiet + 1;
    }
  }

  /** Lets time pass for the slow path: expiry of flows, aging of learned addresses. */
  advance(ms: number): void {
    this.#aheadMs += ms;
    while (!this.slowPath.tick()) this.datapath.runOnce(0);
    this.settle();
  }

  /** Installed megaflows, sorted by match; names of devices and tunnels instead of numbers. */
  flows(): Flow[] {
    const { flows } = this.slowPath;
    const { slots } = flows.memory;
    const views: Flow[] = [];
    for (let slot = 1; slot <= flows.highest; slot += 1) {
      if (!flows.isLinked(slot)) continue;
      const { packets, bytes } = this.counters.flow(slot);
      const key = flows.keyAt(slot);
      views.push({
        match: formatMatch(slots, key, slots, flows.maskAt(slot), this.#names),
        actions: formatActions(slots, flows.actionsAt(slot), flows.actionCount(slot), this.#names),
        packets,
        bytes,
      });
    }
    return views.sort((one, other) => (one.match < other.match ? -1 : 1));
  }

  /** Drops so far by reason, on all ports or on one; reasons without a drop are left out. */
  drops(port?: string): Record<string, number> {
    const devices = port === undefined ? [...this.numbering.names('devices')] : [port];
    const numbers = devices.map((device) => this.number('devices', device));
    // Port 0 stands for packets that the switch made itself.
    if (port === undefined) numbers.push(0);
    const found: Record<string, number> = {};
    for (const [reason, { name }] of dropReasonTexts.entries()) {
      let packets = 0;
      for (const number of numbers) packets += this.counters.drops(number, reason);
      if (packets > 0) found[name] = packets;
    }
    return found;
  }

  /** What became of one frame: the devices it left by, or why it was dropped. */
  fate(port: string, frame: Uint8Array, offload?: NativeOffload): string {
    const before = this.drops();
    const sent = this.send(port, frame, offload).map((one) => one.port);
    const reasons = Object.entries(this.drops()).flatMap(([name, count]) =>
      Array.from({ length: count - (before[name] ?? 0) }, () => name),
    );
    return [...sent, ...reasons].join(' ') || 'nothing';
  }

  /** Counters of a device. */
  port(device: string): Record<string, number> {
    return this.counters.port(this.number('devices', device));
  }

  worker(): Record<string, number> {
    return this.counters.worker(0);
  }

  /** Audits every live entry, which must be as the rules want it, and closes. */
  async end(): Promise<void> {
    if (this.#closed) return;
    const wrong = await this.auditAll();
    this.close();
    if (wrong.length > 0) throw new Error(`wrong entries: ${JSON.stringify(wrong)}`);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.datapath.close();
  }
}
