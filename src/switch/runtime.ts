// switch/runtime.ts — everything that lives as long as one attached data path, and its event loop.
//
// A data path that dies takes its runtime with it; the next one gets a new runtime, which is filled
// from the compiled document in the same way. All work happens in turns of the event loop: doorbell
// → answers; after changes → slices of revalidation until the flows follow; once a second → expiry,
// and ports whose device was missing.

import { datapathPort } from '../datapath/adapter.ts';
import type { NativeDatapath } from '../datapath/native.ts';
import { CommandWriter } from '../datapath/rings.ts';
import type { Config } from '../model/config.ts';
import { Pipeline, type RuleChanges } from '../pipeline/pipeline.ts';
import { type Compiled, nothingCompiled } from '../rules/compile.ts';
import { diffCompiled } from '../rules/diff.ts';
import { Audit } from '../slowpath/audit.ts';
import type { Reconciled } from '../slowpath/reconcile.ts';
import { monotonicMs, SlowPath } from '../slowpath/slow-path.ts';
import { Advertiser } from './advertiser.ts';
import { EntryLister } from './entry-lister.ts';
import { Existing } from './existing.ts';
import { Installer, type UplinkNumber } from './installer.ts';

const housekeepingMs = 1000;
/** Places of the exact caches that each turn of housekeeping audits. */
const auditPlaces = 256;
/** A wrong entry is logged this seldom. */
const auditLogMs = 60_000;
/** Ports whose device is missing are tried at each turn of housekeeping, the others this seldom. */
const portCheckTurns = 5;

export interface RuntimeParts {
  readonly native: NativeDatapath;
  readonly config: Config;
  readonly uplinkNumber: UplinkNumber;
  readonly log: (message: string, error: unknown) => void;
  /** Ports have come or gone. */
  readonly onPorts: () => void;
  /** Capture events wait in the event rings. */
  readonly onEvents: () => void;
}

export class Runtime {
  readonly native: NativeDatapath;
  readonly slowPath: SlowPath;
  readonly installer: Installer;
  /** Asks the workers for exact entries; its owner hands it their events. */
  readonly lister: EntryLister;
  readonly audit: Audit;
  /** Live connections that a change of rules cuts. */
  readonly existing: Existing;
  readonly datapathPid: number;
  /** What became of the flows that were found at the start; null: none was looked for. */
  reconciled: Reconciled | null = null;
  readonly #parts: RuntimeParts;
  readonly #packets: CommandWriter;
  readonly #advertiser: Advertiser;
  readonly #timer: NodeJS.Timeout;
  #installed: Compiled = nothingCompiled;
  #answering = false;
  #settling: Promise<void> | undefined;
  #turn = 0;
  /** Where the audit goes on. */
  #audited = { worker: 0, place: 0 };
  #auditLoggedMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(parts: RuntimeParts) {
    this.#parts = parts;
    this.native = parts.native;
    const datapath = datapathPort(parts.native);
    this.datapathPid = datapath.memory.datapathPid;
    this.slowPath = new SlowPath({
      datapath,
      pipeline: new Pipeline(),
      log: parts.log,
    });
    this.lister = new EntryLister(parts.native);
    this.audit = new Audit(this.slowPath.pipeline, this.slowPath.flows);
    this.installer = new Installer(parts.native, parts.config, parts.uplinkNumber);
    this.existing = new Existing({
      lister: this.lister,
      send: ({ program, frame }) => this.#send(0, program, frame),
      nowMs: monotonicMs,
    });
    this.#packets = new CommandWriter(parts.native, 0, datapath.memory.workers[0]!);
    this.#advertiser = new Advertiser({
      send: (inPort, program, frame) => this.#send(inPort, program, frame),
      nowMs: monotonicMs,
    });
    this.#timer = setInterval(() => this.#guard(() => this.#housekeeping()), housekeepingMs);
  }

  /** Begins to answer. Before the rules are in, every answer would be a drop: call take() first. */
  listen(): void {
    this.native.onDoorbell(() => this.#guard(() => this.#wake()));
    this.#guard(() => this.#wake());
  }

  /** Fills the data path for the first time and takes over the flows that it has. */
  async take(compiled: Compiled, revision: number): Promise<void> {
    this.slowPath.flows.revision = revision;
    this.installer.put(compiled.objects);
    const { rules } = diffCompiled(nothingCompiled, compiled);
    this.slowPath.applyRules(rules, compiled.learning);
    this.reconciled = this.slowPath.reconcile();
    this.#installed = compiled;
    await this.#settle();
    this.installer.remove();
    this.#advertiser.set(compiled.advertisements);
  }

  /** Changes what is installed; resolves when every flow follows the new rules. */
  async change(compiled: Compiled, revision: number): Promise<void> {
    const changes = diffCompiled(this.#installed, compiled);
    this.slowPath.flows.revision = revision;
    if (changes.empty) return;
    this.installer.put(compiled.objects);
    this.slowPath.applyRules(changes.rules, compiled.learning);
    this.#installed = compiled;
    await this.#settle();
    // Ports that go are told that their router does, too.
    this.#advertiser.set(compiled.advertisements);
    this.installer.remove();
  }

  /** What change() would do to the rules. */
  rulesTo(compiled: Compiled): RuleChanges {
    return diffCompiled(this.#installed, compiled).rules;
  }

  /** Stops answering and detaches; the data path goes on. May be called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.lister.close();
    this.native.close();
  }

  /** Runs a program on a packet as if it had come in by the port (0: ours). False: no room. */
  #send(inPort: number, program: Uint32Array, frame: Uint8Array): boolean {
    if (this.#closed) return false;
    const sent = this.#packets.packetOut(inPort, program, program.length, frame);
    this.#packets.give();
    return sent;
  }

  #wake(): void {
    if (this.#answering || this.#closed) return;
    this.#answering = this.slowPath.answer();
    this.#parts.onEvents();
    if (this.slowPath.behind) {
      this.#settle().catch((error: unknown) =>
        this.#guard(() => {
          throw error;
        }),
      );
    }
    if (!this.#answering) return;
    setImmediate(() => {
      this.#answering = false;
      this.#guard(() => this.#wake());
    });
  }

  /** Slices of revalidation until the flows follow the rules; one run serves all who wait. */
  #settle(): Promise<void> {
    if (this.#settling === undefined) {
      const run = this.#slices().finally(() => {
        this.#settling = undefined;
      });
      this.#settling = run;
    }
    return this.#settling;
  }

  async #slices(): Promise<void> {
    // Never done before the caller has noted that it runs.
    do await new Promise((resolve) => setImmediate(resolve));
    while (!this.#closed && !this.slowPath.tick());
  }

  #housekeeping(): void {
    if (this.#closed) return;
    this.#turn += 1;
    this.#parts.onEvents();
    if (this.#settling === undefined) this.slowPath.tick();
    this.#advertiser.tick();
    // The data path may have gone; that is told elsewhere.
    this.existing.tick().catch(() => undefined);
    this.#auditSome().catch(() => undefined);
    if (this.installer.waiting.length === 0 && this.#turn % portCheckTurns !== 0) return;
    if (this.installer.putPorts()) this.#parts.onPorts();
  }

  /** Judges the next few exact entries, unless flows are on their way to other rules. */
  async #auditSome(): Promise<void> {
    const { worker, place } = this.#audited;
    const { found, next } = await this.lister.some(worker, place, auditPlaces);
    const nextWorker = next === 0 ? (worker + 1) % this.native.workerCount : worker;
    this.#audited = { worker: nextWorker, place: next };
    if (this.#closed || this.slowPath.behind) return;
    const mismatches = this.audit.judge(found);
    const now = performance.now();
    if (mismatches.length === 0 || now - this.#auditLoggedMs < auditLogMs) return;
    this.#auditLoggedMs = now;
    this.#parts.log('the self-audit found a wrong entry', new Error(this.audit.counts.last));
  }

  /** The data path may die in the middle of any call; that is told by its own event. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (this.#closed || (error as { code?: unknown }).code === 'ERR_DATAPATH_CLOSED') return;
      throw error;
    }
  }
}
