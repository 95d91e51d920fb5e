// switch.ts — joins all: document → rules and objects → data path, upcalls → verdicts, and what the
// control API asks.
//
// One Switch per daemon. It outlives the data path: when that process dies, it is started again and
// filled from what was compiled last. Documents are applied one after another; each is checked,
// compiled and on disk before anything is touched.

import { kindWords } from './control/kinds.ts';
import type * as api from './control/switch-api.ts';
import { loadAddon } from './datapath/addon.ts';
import { DatapathCounters } from './datapath/counters.ts';
import type { DatapathEvent, EntryEvent, EntryReport } from './datapath/events.ts';
import { type LaunchOptions, launchDatapath } from './datapath/launch.ts';
import type { ConnectionTimeouts } from './datapath/rings.ts';
import { parseKey } from './flow/key-text.ts';
import { SwitchError } from './lib/errors.ts';
import type { Logger } from './lib/logger.ts';
import type { Config } from './model/config.ts';
import { type NotInForce, notInForce } from './model/coverage.ts';
import { diffDocuments, revisionOf, withUnchanged } from './model/diff.ts';
import { type Document, type DocumentKind, singularOf } from './model/document.ts';
import { parseDocument } from './model/parse.ts';
import { Translation } from './pipeline/translate.ts';
import { type Compiled, compile, nothingCompiled } from './rules/compile.ts';
import { Numbering } from './rules/numbering.ts';
import { Captures } from './switch/capture.ts';
import { connectionView, pairEntries } from './switch/connections.ts';
import { DocumentStore } from './switch/document-store.ts';
import { EventHub } from './switch/event-hub.ts';
import { EventPump } from './switch/event-pump.ts';
import { explain, traceOf } from './switch/explain.ts';
import { FlowLog } from './switch/flow-log.ts';
import { type RecordParts, recordOfDenial, recordOfEntry } from './switch/flow-records.ts';
import { type Names, namesOf } from './switch/names.ts';
import { type Found, objectViews } from './switch/object-views.ts';
import { type ChangedConnection, changedConnections } from './switch/policy-change.ts';
import { Runtime } from './switch/runtime.ts';
import { dropViews, flowViews, topView } from './switch/views.ts';

const watchQueueMax = 1000;
const relaunchMs = 500;
/** Live connections that a diff lists. */
const connectionsShownMax = 1000;
/** How long drained connections go on unless told otherwise. */
const drainSecondsDefault = 300;

export interface SwitchParts {
  readonly config: Config;
  readonly logger: Logger;
  readonly version: string;
}

export class Switch implements api.SwitchApi {
  readonly #parts: SwitchParts;
  readonly #store: DocumentStore;
  readonly #numbering = new Numbering();
  readonly #names: Names;
  readonly #captures: Captures;
  readonly #pump = new EventPump((event) => this.#take(event));
  readonly #events: EventHub<api.WatchEvent> = new EventHub({ queueMax: watchQueueMax });
  readonly #startedMs = Date.now();
  readonly #flowLog: FlowLog | undefined;
  readonly #logWalk = new Translation();
  #document: Document;
  #revision: number;
  #compiled: Compiled = nothingCompiled;
  #runtime: Runtime | undefined;
  #counters: DatapathCounters | undefined;
  #attachedMs = 0;
  #restarts = 0;
  #lastRecoveryMs: number | null = null;
  #applying: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(
    parts: SwitchParts,
    store: DocumentStore,
    document: Document,
    revision: number,
  ) {
    this.#parts = parts;
    this.#store = store;
    this.#document = document;
    this.#revision = revision;
    this.#names = namesOf(this.#numbering, parts.config.host, () => this.#document.ports);
    const { flowLog } = parts.config;
    if (flowLog !== undefined) {
      const log = (message: string, error: unknown) => parts.logger.warn({ err: error }, message);
      this.#flowLog = new FlowLog({ config: flowLog, log });
    }
    this.#captures = new Captures(this.#names, `vtepd ${parts.version}`, parts.config.host);
  }

  /**
   * Attaches to the data path, or starts it, and puts in force what was applied last.
   * @throws SwitchError ERR_STATE_UNWRITABLE, ERR_BUSY, ERR_DATAPATH_CLOSED, ERR_PROTOCOL,
   *   ERR_PERMISSION
   */
  static async start(parts: SwitchParts): Promise<Switch> {
    const { store, stored } = await DocumentStore.open(parts.config.state);
    const it = new Switch(parts, store, stored.document, stored.revision);
    it.#numbering.restore(stored.numbers);
    it.#compiled = it.#compile(stored.document);
    if (store.trouble !== undefined) {
      parts.logger.warn({ err: store.trouble }, 'going on with what was applied last');
    }
    await it.#attach();
    return it;
  }

  /** Detaches; the data path goes on. */
  close(): void {
    this.#closed = true;
    this.#events.close();
    this.#pump.drain();
    this.#flowLog?.close();
    this.#runtime?.close();
  }

  // ---- what the operator wants --------------------------------------------------------------

  apply(text: string, file: string, options: api.ApplyOptions = {}): Promise<api.ApplyResult> {
    const turn = this.#applying.then(() => this.#apply(text, file, options));
    this.#applying = turn.catch(() => undefined);
    return turn;
  }

  diff(text: string, file: string): Promise<api.DiffResult> {
    // Its second half puts rules into the pipeline for a moment: not while others change them.
    const turn = this.#applying.then(() => this.#diff(text, file));
    this.#applying = turn.catch(() => undefined);
    return turn;
  }

  async #diff(text: string, file: string): Promise<api.DiffResult> {
    const parsed = parseDocument(text, file);
    const changes = diffDocuments(this.#document, parsed);
    const runtime = this.#runtime;
    if (changes.length === 0 || runtime === undefined) {
      return { changes, connections: [], connectionCount: 0 };
    }
    const numbers = this.#numbering.snapshot();
    let compiled: Compiled;
    try {
      compiled = this.#compile(withUnchanged(this.#document, parsed, changes));
    } finally {
      this.#numbering.forgetSince(numbers);
    }
    const found = await this.#changedBy(runtime, compiled);
    const connections = found
      .slice(0, connectionsShownMax)
      .map(({ entries: _entries, ...change }) => change);
    return { changes, connections, connectionCount: found.length };
  }

  #changedBy(runtime: Runtime, compiled: Compiled): Promise<ChangedConnection[]> {
    const { slowPath, lister } = runtime;
    this.#pump.drain();
    const changes = runtime.rulesTo(compiled);
    return changedConnections({ slowPath, lister, names: this.#names, changes });
  }

  document(): { revision: number; hash: string; document: unknown } {
    return {
      revision: this.#revision,
      hash: revisionOf(this.#document),
      document: this.#document,
    };
  }

  async #apply(text: string, file: string, options: api.ApplyOptions): Promise<api.ApplyResult> {
    const begun = performance.now();
    const parsed = parseDocument(text, file);
    const changes = diffDocuments(this.#document, parsed);
    const document = withUnchanged(this.#document, parsed, changes);
    let kept = 0;
    const cut: EntryReport[] = [];
    const tellsCut = options.existing === 'reset';
    if (tellsCut) cut.push(...((await this.#runtime?.existing.unmark()) ?? []));
    if (changes.length > 0) {
      const compiled = this.#compile(document);
      if (tellsCut) cut.push(...(await this.#cutBy(compiled)).flat());
      else kept = await this.#keep(compiled, options);
      const revision = this.#revision + 1;
      await this.#store.save({ revision, document, numbers: this.#numbering.snapshot() });
      this.#document = document;
      this.#revision = revision;
      this.#compiled = compiled;
      await this.#runtime?.change(compiled, revision);
      this.#releaseNumbers(compiled);
      const objects = changes.length === 1 ? 'object' : 'objects';
      this.#tell('applied', `revision ${revision}`, `${changes.length} ${objects} changed`);
    }
    // A data path that goes away meanwhile takes its connections with it.
    this.#runtime?.existing.tell(cut).catch(() => undefined);
    return {
      revision: this.#revision,
      hash: revisionOf(document),
      changes,
      notInForce: this.#gaps(),
      tookMs: Math.round(performance.now() - begun),
      kept,
    };
  }

  /** Marks the connections that go on although the rules to come deny them; returns how many. */
  async #keep(compiled: Compiled, options: api.ApplyOptions): Promise<number> {
    const { existing = 'reset', drainSeconds = drainSecondsDefault } = options;
    const runtime = this.#runtime;
    if (existing === 'reset' || runtime === undefined) return 0;
    const ms = existing === 'drain' ? drainSeconds * 1000 : 0;
    const cut = await this.#cutBy(compiled, ({ canStay }) => canStay);
    await runtime.existing.keep(cut, ms);
    return cut.length;
  }

  /** Entries of the live connections that the rules to come deny. */
  async #cutBy(compiled: Compiled, wanted: (found: ChangedConnection) => boolean = () => true) {
    const found = this.#runtime === undefined ? [] : await this.#changedBy(this.#runtime, compiled);
    return found.flatMap((one) => {
      const [first, ...others] = one.entries;
      const isOne = one.change === 'cut' && first !== undefined && wanted(one);
      return isOne ? [[first, ...others] as const] : [];
    });
  }

  /** A document without this host has nothing in force here. */
  #compile(document: Document): Compiled {
    const { host, tunnel } = this.#parts.config;
    if (!document.hosts.some(({ name }) => name === host)) return nothingCompiled;
    const options = {
      host,
      numbering: this.#numbering,
      ...(tunnel.device === undefined ? {} : { uplinkDevice: tunnel.device }),
    };
    return compile(document, options, this.#compiled);
  }

  /** Numbers of names that nothing refers to any more; flows have followed. */
  #releaseNumbers({ objects }: Compiled): void {
    const ports = this.#runtime?.native.listPorts();
    const uplink = this.#parts.config.tunnel.device;
    const devices = new Set([...(ports ?? []).map(({ device }) => device), uplink]);
    for (const name of [...this.#numbering.names('devices')]) {
      if (ports === undefined || objects.ports.has(name) || devices.has(name)) continue;
      this.#numbering.release('devices', name);
    }
    for (const kind of ['tunnels', 'groups', 'meters'] as const) {
      for (const name of [...this.#numbering.names(kind)]) {
        if (!objects[kind].has(name)) this.#numbering.release(kind, name);
      }
    }
  }

  /** What is accepted but not in force here, object by object. */
  #gaps(): api.ApplyResult['notInForce'] {
    const kinds = ['hosts', 'subnets', 'routers', 'ports'] as const;
    const found = this.#found();
    return kinds.flatMap((kind) =>
      objectViews(found, kind)
        .filter(({ state }) => state === 'partial' || state === 'waiting')
        .map(({ name, why }) => ({ kind, name, why })),
    );
  }

  // ---- the data path --------------------------------------------------------------------------

  async #attach(): Promise<void> {
    const { config, logger } = this.#parts;
    const { datapath, started, lastWords } = await launchDatapath(launchOptions(config));
    const runtime = new Runtime({
      native: datapath,
      config,
      uplinkNumber: (device) => this.#numbering.number('devices', device),
      log: (message, error) => logger.error({ err: error }, message),
      onPorts: () => this.#tell('port', 'ports', 'ports have come or gone'),
      onEvents: () => this.#pump.drain(),
    });
    datapath.onGone(() => this.#gone(runtime, lastWords()));
    this.#runtime = runtime;
    this.#counters = new DatapathCounters(datapath, loadAddon());
    this.#attachedMs = Date.now();
    this.#pump.attach(datapath);
    await runtime.take(this.#compiled, this.#revision);
    this.#captures.attach(datapath);
    runtime.lister.setTimeouts(connectionTimeouts(config));
    this.#logFlows(runtime);
    runtime.listen();
    logger.info({ started, ...runtime.reconciled }, 'attached to the datapath');
    for (const { device, why } of runtime.installer.waiting)
      logger.info({ device, why }, 'waiting');
  }

  #gone(runtime: Runtime, lastWords: string): void {
    if (this.#closed || this.#runtime !== runtime) return;
    const noticed = performance.now();
    const words = lastWords === '' ? {} : { lastWords };
    this.#parts.logger.warn(words, 'the datapath has gone: starting it again');
    const lastLine = lastWords.slice(lastWords.lastIndexOf('\n') + 1);
    this.#tell('datapath', 'datapath', ['gone', lastLine].filter(Boolean).join(': '));
    this.#runtime = undefined;
    this.#counters = undefined;
    this.#captures.attach(undefined);
    this.#pump.attach(undefined);
    runtime.close();
    void this.#reattach(noticed);
  }

  async #reattach(noticed: number): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#attach();
        this.#restarts += 1;
        this.#lastRecoveryMs = Math.round(performance.now() - noticed);
        this.#parts.logger.warn({ ms: this.#lastRecoveryMs }, 'the datapath is back');
        this.#tell('datapath', 'datapath', `back after ${this.#lastRecoveryMs} ms`);
        return;
      } catch (error) {
        this.#parts.logger.error({ err: error }, 'cannot start the datapath; trying again');
        await new Promise((resolve) => setTimeout(resolve, relaunchMs));
      }
    }
  }

  /** What workers tell besides upcalls, to whom it concerns. */
  #take(event: DatapathEvent): void {
    if (event.kind === 'capture') this.#captures.take(event);
    else if (event.kind === 'drop') this.#runtime?.slowPath.drops.take(event);
    else if (event.kind !== 'ended') this.#runtime?.lister.take(event);
    else this.#logEntry(event);
  }

  // ---- the flow log ---------------------------------------------------------------------------

  /** Has every connection logged, or none, whatever an earlier vtepd wanted. */
  #logFlows(runtime: Runtime): void {
    const log = this.#flowLog;
    const { flowLog } = this.#parts.config;
    if (log === undefined || flowLog === undefined) {
      runtime.lister.reportEnds(undefined);
      return;
    }
    const { idleSeconds, activeSeconds } = flowLog;
    const times = { idleMs: idleSeconds * 1000, activeMs: activeSeconds * 1000 };
    runtime.lister.reportEnds(times);
    runtime.slowPath.drops.onDenial = (slot) => {
      const record = recordOfDenial(this.#recordParts(runtime), slot);
      if (record !== undefined) log.add(record);
    };
  }

  #logEntry(event: EntryEvent): void {
    const runtime = this.#runtime;
    if (runtime === undefined) return;
    const record = recordOfEntry(this.#recordParts(runtime), event);
    if (record !== undefined) this.#flowLog?.add(record);
  }

  #recordParts({ slowPath }: Runtime): RecordParts {
    return { slowPath, names: this.#names, revision: this.#revision, walk: this.#logWalk };
  }

  #tell(kind: api.WatchEvent['kind'], name: string, message: string): void {
    this.#events.publish({ timeMs: Date.now(), kind, name, message });
  }

  #attached(): { runtime: Runtime; counters: DatapathCounters } {
    if (this.#runtime === undefined || this.#counters === undefined) {
      throw new SwitchError('ERR_DATAPATH_CLOSED', 'the datapath is being started again');
    }
    return { runtime: this.#runtime, counters: this.#counters };
  }

  // ---- what the operator sees -----------------------------------------------------------------

  status(): api.SwitchStatus {
    const { config, version } = this.#parts;
    const flows = this.#runtime?.slowPath.flows.size ?? 0;
    const audit = this.#runtime?.audit.counts;
    return {
      version,
      host: config.host,
      pid: process.pid,
      startedMs: this.#startedMs,
      revision: this.#revision,
      hash: revisionOf(this.#document),
      datapath: this.#datapathStatus(),
      counts: {
        ports: this.#compiled.objects.ports.size,
        tunnels: this.#compiled.objects.tunnels.size,
        networks: this.#compiled.objects.networks.size,
        rules: this.#compiled.rules.size,
        flows,
        learned: this.#runtime?.slowPath.learning.size ?? 0,
      },
      flowLog: this.#flowLog?.counts ?? null,
      audit: { audited: audit?.audited ?? 0, mismatches: audit?.mismatches ?? 0 },
      warnings: this.#warnings(),
    };
  }

  #datapathStatus(): api.DatapathStatus {
    return {
      state: this.#runtime === undefined ? 'starting' : 'attached',
      pid: this.#runtime?.datapathPid ?? 0,
      workers: this.#runtime?.native.workerCount ?? 0,
      sinceMs: this.#attachedMs,
      restarts: this.#restarts,
      lastRecoveryMs: this.#lastRecoveryMs,
      reconciled: this.#runtime?.reconciled ?? null,
    };
  }

  #warnings(): string[] {
    const { host } = this.#parts.config;
    const known = this.#revision === 0 || this.#document.hosts.some(({ name }) => name === host);
    const unknown = known ? [] : [`the document has no host ${host}: nothing is in force here`];
    const waiting = this.#runtime?.installer.waiting.map(({ device, why }) => `${device}: ${why}`);
    const gaps = this.#gaps();
    const unresolved = gaps
      .filter(({ kind }) => kind === 'hosts')
      .map(({ name, why }) => `tunnel to ${name}: ${why}`);
    const { trouble } = this.#store;
    const partial = partly(this.#document, gaps);
    const unwritable = trouble === undefined ? [] : [trouble.message];
    const { mismatches = 0, last = '' } = this.#runtime?.audit.counts ?? {};
    const wrong = mismatches === 0 ? [] : [`${mismatches} wrong entries, a bug: ${last}`];
    return [...wrong, ...unwritable, ...unknown, ...(waiting ?? []), ...unresolved, ...partial];
  }

  objects(kind: DocumentKind, name?: string): readonly api.ObjectStatus[] {
    const all = objectViews(this.#found(), kind);
    if (name === undefined) return all;
    const one = all.filter((object) => object.name === name);
    if (one.length > 0) return one;
    throw new SwitchError('ERR_NOT_FOUND', `there is no ${singularOf[kind]} ${name}`);
  }

  #found(): Found {
    const runtime = this.#runtime;
    const gaps: readonly NotInForce[] = notInForce(this.#document);
    const listed = runtime === undefined ? undefined : listObjects(runtime);
    return {
      host: this.#parts.config.host,
      document: this.#document,
      notInForce: gaps,
      numbering: this.#numbering,
      attached: listed !== undefined,
      ports: listed?.ports ?? [],
      tunnels: listed?.tunnels ?? [],
      waiting: runtime?.installer.waiting ?? [],
      counters: this.#counters,
    };
  }

  flows(): readonly api.FlowView[] {
    const { runtime, counters } = this.#attached();
    return flowViews(runtime, this.#names, counters);
  }

  drops(): readonly api.DropView[] {
    const { runtime, counters } = this.#attached();
    this.#pump.drain();
    return dropViews(runtime, this.#names, counters);
  }

  async connections(): Promise<readonly api.ConnectionView[]> {
    const entries = await this.#attached().runtime.lister.list();
    return pairEntries(entries).map((pair) => connectionView(pair, this.#names));
  }

  async why({ about }: api.WhyRequest): Promise<api.WhyResult> {
    const { slowPath, lister } = this.#attached().runtime;
    this.#pump.drain();
    const macsOf = (name: string) =>
      this.#document.ports.flatMap((port) => (port.name === name ? [port.mac] : []));
    const revision = this.#revision;
    const parts = { slowPath, lister, names: this.#names, revision, macsOf };
    return { about, revision, packets: await explain(parts, about) };
  }

  top(): api.TopView {
    const { runtime, counters } = this.#attached();
    return topView(runtime, this.#names, counters);
  }

  trace({ key }: api.TraceRequest): api.TraceResult {
    const { runtime } = this.#attached();
    const { slowPath } = runtime;
    const words = parseKey(key, this.#names);
    return traceOf({ slowPath, names: this.#names, revision: this.#revision }, words, key);
  }

  capture(request: api.CaptureRequest): AsyncIterable<Uint8Array> {
    const { runtime } = this.#attached();
    if (request.port === undefined) return this.#captures.read([], request);
    const uplinks = runtime.native.listPorts().filter(({ uplink }) => uplink === true);
    const number = this.#names.portNumber(request.port);
    const ports = number === undefined ? [] : [number];
    if (request.port === 'uplink') ports.push(...uplinks.map((port) => port.number));
    if (ports.length > 0) return this.#captures.read(ports, request);
    throw new SwitchError('ERR_PORT_NOT_FOUND', `there is no port or device ${request.port} here`);
  }

  watch(): AsyncIterable<api.WatchEvent> {
    return this.#events.subscribe();
  }
}

/** One sentence for all that this version accepts without bringing it into force. */
function partly(document: Document, gaps: api.ApplyResult['notInForce']): string[] {
  const accepted = new Set(notInForce(document).map(({ kind, name }) => `${kind} ${name}`));
  const counts = new Map<DocumentKind, number>();
  for (const { kind, name } of gaps) {
    if (accepted.has(`${kind} ${name}`)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  if (counts.size === 0) return [];
  const list = [...counts].map(([kind, count]) => {
    const { singular, plural } = kindWords[kind];
    return `${count} ${count === 1 ? singular : plural}`;
  });
  return [`accepted, but not wholly in force: ${list.join(', ')}; "vtepctl get" says why`];
}

/** Undefined when the datapath has died a moment ago and its end is not told yet. */
function listObjects({ native }: Runtime): Pick<Found, 'ports' | 'tunnels'> | undefined {
  try {
    return { ports: native.listPorts(), tunnels: native.listTunnels() };
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_DATAPATH_CLOSED') return undefined;
    throw error;
  }
}

/** In ms, as the data path has them: one that lives on takes them from each vtepd. */
function connectionTimeouts({ datapath }: Config): ConnectionTimeouts {
  const { tcp, udp, icmp, other } = datapath.timeouts;
  const seconds = { ...tcp, udpUnreplied: udp.unreplied, udpStream: udp.stream, icmp, other };
  const times = Object.entries(seconds).map(([name, time]) => [name, time * 1000] as const);
  return Object.fromEntries(times) as ConnectionTimeouts;
}

function launchOptions({ datapath }: Config): LaunchOptions {
  const { socket, start } = datapath;
  const args = [
    `--workers=${datapath.workers}`,
    `--flows=${datapath.flows}`,
    `--exact-flows=${datapath.exactFlows}`,
    `--connections=${datapath.connections}`,
    `--tcp-pick-up=${datapath.tcpPickUp}`,
    `--small-frames=${datapath.smallFrames}`,
    `--large-frames=${datapath.largeFrames}`,
    `--spin-us=${datapath.spinMicroseconds}`,
  ];
  return { socket, start, args };
}
