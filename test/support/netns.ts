// support/netns.ts — network namespaces, veth pairs and processes that are gone when the test is
// over.
//
// A Lab is one test's laboratory. Every step registers its undo; undo runs in reverse order, also
// after a failure, and also when the test process exits early. The real name of a namespace holds
// the id of the process that owns it (vtep-<pid>-<random>-h1): a sweep removes only those whose
// owner is dead.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
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
  removeNamespaces(names);
  return names;
}

/**
 * Kills whatever lives in the namespaces, by process id, and deletes them. Synchronous: also used
 * at exit.
 */
function removeNamespaces(names: readonly string[]) {
  if (names.length === 0) return;
  for (const pid of processesIn(names)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself in between.
    }
  }
  // One that is gone already is passed over.
  runSync('ip', ['-force', '-batch', '-'], names.map((name) => `netns del ${name}\n`).join(''));
}

/** As `ip netns pids` tells them, but of several namespaces with one look at the processes. */
function processesIn(names: readonly string[]): number[] {
  const wanted = new Set(names.map((name) => inodeOf(join(netnsFolder, name))));
  wanted.delete(undefined);
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => wanted.has(inodeOf(`/proc/${pid}/ns/net`))).map(Number);
}

/** The inode number by which the kernel tells one network namespace from another. */
function inodeOf(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true }).ino;
  } catch {
    return undefined;
  }
}

/** What `ip -batch` is told to make a namespace. */
function namespaceLines(name: string): string[] {
  const quiet = ['accept_dad', 'router_solicitations'].map(
    (one) => `net.ipv6.conf.default.${one}=0`,
  );
  return [
    `netns add ${name}`,
    `netns exec ${name} ip link set lo up`,
    `netns exec ${name} sysctl -qw ${quiet.join(' ')}`,
  ];
}

/** Runs commands of `ip` in one process, in a namespace or here, up to the first that fails. */
async function batch(lines: readonly string[], name?: string) {
  const inside = name === undefined ? [] : ['-n', name];
  const { code, stderr } = await run('ip', [...inside, '-batch', '-'], { input: lines.join('\n') });
  if (code === 0) return;
  const failed = /Command failed -:(\d+)/.exec(stderr)?.[1];
  throw new Error(`ip ${[...inside, lines[Number(failed) - 1]].join(' ')}: ${stderr.trim()}`);
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
   * Makes namespaces with their loopback up and without IPv6 chatter (no DAD, no router
   * solicitations).
   */
  async namespace(...names: string[]) {
    if (this.#closed) throw new Error('the lab is closed');
    // They go with the lab, even those that a failure left half made.
    for (const ns of names) this.#namespaces.add(ns);
    await batch(names.map((ns) => this.prefix + ns).flatMap(namespaceLines));
  }

  removeNamespace(ns: string) {
    if (!this.#namespaces.delete(ns)) return;
    removeNamespaces([this.prefix + ns]);
  }

  /** Makes a veth pair across two namespaces, offloads as the kernel sets them. */
  async veth(left: VethEnd, right: VethEnd) {
    await mustRun('ip', [
      ...['link', 'add', left.name, 'netns', this.realName(left.ns), 'type', 'veth'],
      ...['peer', 'name', right.name, 'netns', this.realName(right.ns)],
    ]);
    // A pair goes with the first namespace of its two; nothing to undo.
    await Promise.all([left, right].map((end) => this.configure(end.ns, end.name, end)));
  }

  /** Sets address, MTU and state of a device that exists. */
  async configure(ns: string, device: string, settings: Partial<VethEnd>) {
    const link = `link set ${device}`;
    const lines: string[] = [];
    if (settings.mac) lines.push(`${link} address ${settings.mac}`);
    if (settings.mtu) lines.push(`${link} mtu ${settings.mtu}`);
    if (settings.up ?? true) lines.push(`${link} up`);
    for (const ip of [settings.ip ?? []].flat()) {
      lines.push(`addr add ${ip} dev ${device}${ip.includes(':') ? ' nodad' : ''}`);
    }
    await this.ip(ns, lines);
  }

  /** Runs commands of `ip` inside a namespace, up to the first that fails. */
  ip(ns: string, lines: readonly string[]) {
    return batch(lines, this.realName(ns));
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
    removeNamespaces([...this.#namespaces].map((ns) => this.prefix + ns));
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
