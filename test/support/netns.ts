// support/netns.ts — network namespaces, veth pairs and processes that are gone when the test is
// over.
//
// A Lab is one test's laboratory. Every step registers its undo; undo runs in reverse order, also
// after a failure, and also when the test process exits early. The real name of a namespace holds
// the id of the process that owns it (vtep-<pid>-<random>-h1): a sweep removes only those whose
// owner is dead.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { RunOptions, StartOptions } from './process.ts';
import { alive, ManagedProcess, mustRun, run, runSync } from './process.ts';
import { waitUntil } from './wait.ts';

const netnsFolder = '/run/netns';
const namePattern = /^vtep-(\d+)-[0-9a-f]{4}-/;

/** One end of a veth pair. `ns` is the lab's short name; addresses have a prefix length. */
export interface VethEnd {
  ns: string;
  name: string;
  mac?: string;
  mtu?: number;
  /** Addresses such as 10.0.0.1/24 or fd00::1/64; IPv6 ones are usable at once (nodad). */
  ip?: string | string[];
  /** Default true. */
  up?: boolean;
}

/** The namespaces that still exist though the process which made them does not. */
export function leftovers(names = namespaceNames()): string[] {
  return names.filter((name) => {
    const owner = namePattern.exec(name)?.[1];
    return owner !== undefined && !alive(Number(owner));
  });
}

/** Names of all namespaces known to iproute2. */
export function namespaceNames(): string[] {
  return existsSync(netnsFolder) ? readdirSync(netnsFolder) : [];
}

/** Removes what dead owners left, and the processes inside. Returns the names removed. */
export function sweep(): string[] {
  const names = leftovers();
  for (const name of names) removeNamespace(name);
  return names;
}

/**
 * Kills whatever lives in a namespace, by process id, and deletes it. Synchronous: also used at
 * exit.
 */
function removeNamespace(name: string) {
  const pids = runSync('ip', ['netns', 'pids', name])
    .stdout.split('\n')
    .filter(Boolean)
    .map(Number);
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself in between.
    }
  }
  runSync('ip', ['netns', 'del', name]);
}

type Undo = () => unknown;

export class Lab {
  /** What the lab's namespaces are called before their short name: vtep-<pid>-<random>-. */
  readonly prefix = `vtep-${process.pid}-${randomBytes(2).toString('hex')}-`;
  /** A directory of the lab's own for sockets, logs and captures. */
  readonly directory: string;
  #namespaces = new Set<string>();
  #undo: Undo[] = [];
  #reports: (() => Promise<string>)[] = [];
  #processes = new Set<ManagedProcess>();
  #closed = false;
  #atExit = () => this.#closeNow();

  constructor() {
    sweep();
    this.directory = mkdtempSync(join(tmpdir(), 'vtep-lab-'));
    process.once('exit', this.#atExit);
  }

  /** Registers a step to be undone; the last registered is undone first. */
  onClose(undo: Undo) {
    this.#undo.push(undo);
  }

  /** Registers what should be told of when the test has failed, before anything is undone. */
  onFailure(report: () => Promise<string>) {
    this.#reports.push(report);
  }

  /** What those who registered tell; one that cannot says why. */
  async failureReport(): Promise<string> {
    const said = this.#reports.map((report) => report().catch((error: unknown) => `${error}`));
    return (await Promise.all(said)).join('\n');
  }

  /** A path in the lab's directory. */
  path(...parts: string[]) {
    return join(this.directory, ...parts);
  }

  /** The name that the kernel knows a namespace by. */
  realName(ns: string) {
    if (!this.#namespaces.has(ns)) throw new Error(`the lab has no namespace ${ns}`);
    return this.prefix + ns;
  }

  /** The path that another process can open or bind to: /run/netns/vtep-…. */
  namespacePath(ns: string) {
    return join(netnsFolder, this.realName(ns));
  }

  get namespaces() {
    return [...this.#namespaces];
  }

  /**
   * Makes a namespace with its loopback up and without IPv6 chatter (no DAD, no router
   * solicitations).
   */
  async namespace(ns: string) {
    if (this.#closed) throw new Error('the lab is closed');
    await mustRun('ip', ['netns', 'add', this.prefix + ns]);
    this.#namespaces.add(ns);
    this.onClose(() => this.removeNamespace(ns));
    await this.must(ns, 'ip', ['link', 'set', 'lo', 'up']);
    await this.must(ns, 'sysctl', [
      '-qw',
      'net.ipv6.conf.default.accept_dad=0',
      'net.ipv6.conf.default.router_solicitations=0',
    ]);
    return ns;
  }

  removeNamespace(ns: string) {
    if (!this.#namespaces.delete(ns)) return;
    removeNamespace(this.prefix + ns);
  }

  /** Makes a veth pair across two namespaces, offloads as the kernel sets them. */
  async veth(left: VethEnd, right: VethEnd) {
    await mustRun('ip', [
      ...['link', 'add', left.name, 'netns', this.realName(left.ns), 'type', 'veth'],
      ...['peer', 'name', right.name, 'netns', this.realName(right.ns)],
    ]);
    // A pair goes with the first namespace of its two; nothing to undo.
    for (const end of [left, right]) await this.configure(end.ns, end.name, end);
  }

  /** Sets address, MTU and state of a device that exists. */
  async configure(ns: string, device: string, settings: Partial<VethEnd>) {
    const link = ['link', 'set', device];
    if (settings.mac) await this.must(ns, 'ip', [...link, 'address', settings.mac]);
    if (settings.mtu) await this.must(ns, 'ip', [...link, 'mtu', String(settings.mtu)]);
    if (settings.up ?? true) await this.must(ns, 'ip', [...link, 'up']);
    for (const ip of [settings.ip ?? []].flat()) {
      const nodad = ip.includes(':') ? ['nodad'] : [];
      await this.must(ns, 'ip', ['addr', 'add', ip, 'dev', device, ...nodad]);
    }
  }

  /** Runs a command inside a namespace to its end; the exit code is the caller's to judge. */
  exec(ns: string, command: string, args: string[] = [], options: RunOptions = {}) {
    const inside = ['netns', 'exec', this.realName(ns), command, ...args];
    return run('ip', inside, options);
  }

  /** As `exec`, but rejects with the command's words unless it exits with 0. */
  must(ns: string, command: string, args: string[] = [], options: RunOptions = {}) {
    return mustRun('ip', ['netns', 'exec', this.realName(ns), command, ...args], options);
  }

  /** Starts a process inside a namespace; it is stopped when the lab closes. */
  spawn(ns: string, command: string, args: string[] = [], options: StartOptions = {}) {
    const inside = ['netns', 'exec', this.realName(ns), command, ...args];
    return this.#track(new ManagedProcess('ip', inside, options));
  }

  /** Starts a process in the test's own namespace; it is stopped when the lab closes. */
  spawnHere(command: string, args: string[] = [], options: StartOptions = {}) {
    return this.#track(new ManagedProcess(command, args, options));
  }

  /**
   * Starts a command inside a namespace whose output goes to a log file, and forgets it until
   * closing.
   */
  background(ns: string, command: string, args: string[] = []) {
    const log = this.path(`${ns}-${command.split('/').pop()}-${this.#processes.size}.log`);
    return this.spawn(ns, command, args, { log });
  }

  #track(child: ManagedProcess) {
    this.#processes.add(child);
    this.onClose(() => child.stop());
    return child;
  }

  /** Devices of a namespace, as `ip -json link` tells them. */
  async links(ns: string): Promise<Record<string, unknown>[]> {
    const { stdout } = await this.must(ns, 'ip', ['-json', '-details', 'link', 'show']);
    return JSON.parse(stdout || '[]');
  }

  async hasLink(ns: string, device: string) {
    return (await this.exec(ns, 'ip', ['link', 'show', 'dev', device])).code === 0;
  }

  async waitForLink(ns: string, device: string, timeoutMs = 10_000) {
    await waitUntil(() => this.hasLink(ns, device), { timeoutMs, what: `${device} in ${ns}` });
  }

  /**
   * Undoes everything, last step first. All steps run even when some fail; their errors come out
   * together. Safe to call twice.
   */
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    const errors: unknown[] = [];
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    this.#closeNow();
    process.removeListener('exit', this.#atExit);
    if (errors.length > 0) throw new AggregateError(errors, 'the lab did not close cleanly');
  }

  /**
   * What can be done without waiting; after `close` there is nothing left for it to do but the
   * directory.
   */
  #closeNow() {
    for (const child of this.#processes) child.killGroup();
    for (const ns of this.#namespaces) removeNamespace(this.prefix + ns);
    this.#namespaces.clear();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/**
 * A lab for each test of the file or suite that calls this: `const lab = useLab();` then
 * `lab().namespace('h1')`. Closed after each test, whatever its outcome; a failed one says first
 * what the daemons of the lab have dropped and logged.
 */
export function useLab(): () => Lab {
  let current: Lab | undefined;
  afterEach(async ({ task }) => {
    const lab = current;
    current = undefined;
    if (lab === undefined) return;
    if (task.result?.state === 'fail') {
      process.stdout.write(`${task.name}: failed\n${await lab.failureReport()}\n`);
    }
    await lab.close();
  });
  return () => (current ??= new Lab());
}
