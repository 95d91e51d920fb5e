// cli/quickstart/lab.ts — two hosts and four containers in network namespaces of our own making.
//
// Every step registers its undo; remove() runs them backwards, once, whatever has happened. Names
// begin with the lab's name, so two labs do not meet and nothing else is ever touched.

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { SwitchError } from '../../lib/errors.ts';

const run = promisify(execFile);
const stopTimeoutMs = 5000;
const commandTimeoutMs = 60_000;

export class Lab {
  /** Directory for sockets, state and logs; gone with the lab. */
  readonly directory: string;
  readonly #name: string;
  readonly #undo: (() => Promise<void> | void)[] = [];
  #removed = false;

  constructor(name: string) {
    this.#name = name;
    this.directory = mkdtempSync(join(tmpdir(), `${name}-`));
    this.#undo.push(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  /** Full name of a namespace. */
  namespaceName(short: string): string {
    return `${this.#name}-${short}`;
  }

  /**
   * Makes a namespace, which goes together with every process in it; where the kernel refuses, `ip`
   * fails with its own words.
   */
  namespace(short: string): void {
    const name = this.namespaceName(short);
    ip('netns', 'add', name);
    this.#undo.push(async () => {
      for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) {
        await stopPid(Number(pid));
      }
      ip('netns', 'del', name);
    });
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }

  /** Runs `ip` inside a namespace. */
  ip(namespace: string, ...args: string[]): void {
    ip('-n', this.namespaceName(namespace), ...args);
  }

  /** A veth pair with untouched offloads, both ends up. */
  veth(one: [namespace: string, device: string], other: [namespace: string, device: string]): void {
    const [fromNs, from] = one;
    const [toNs, to] = other;
    const ends = ['netns', this.namespaceName(fromNs), 'type', 'veth'];
    ip('link', 'add', from, ...ends, 'peer', 'name', to, 'netns', this.namespaceName(toNs));
    this.ip(fromNs, 'link', 'set', from, 'up');
    this.ip(toNs, 'link', 'set', to, 'up');
  }

  /** Output of a command inside a namespace; rejects with its error output. */
  async exec(namespace: string, command: string, ...args: string[]): Promise<string> {
    const all = ['netns', 'exec', this.namespaceName(namespace), command, ...args];
    const { stdout } = await run('ip', all, { timeout: commandTimeoutMs });
    return stdout;
  }

  /** Starts a program inside a namespace; its output goes to `<directory>/<log>`. */
  spawn(namespace: string, log: string, command: string, ...args: string[]): ChildProcess {
    const file = openSync(join(this.directory, log), 'a');
    const all = ['netns', 'exec', this.namespaceName(namespace), command, ...args];
    const child = spawn('ip', all, { stdio: ['ignore', file, file] });
    closeSync(file);
    this.#undo.push(() => stopChild(child));
    return child;
  }

  write(file: string, text: string): string {
    const path = join(this.directory, file);
    writeFileSync(path, text);
    return path;
  }

  /** Removes everything; the first failure is thrown after the rest has been tried. */
  async remove(): Promise<void> {
    if (this.#removed) return;
    this.#removed = true;
    const failures: unknown[] = [];
    for (const undo of this.#undo.reverse()) {
      try {
        await undo();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** Waits until `condition` holds; rejects with `what`, as it is then, after the time. */
export async function waitUntil(
  condition: () => Promise<boolean> | boolean,
  timeoutMs: number,
  what: string | (() => string),
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      const text = typeof what === 'string' ? what : what();
      throw new SwitchError('ERR_TIMEOUT', `waited ${timeoutMs} ms for ${text}`);
    }
    await sleep(10);
  }
}

export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  await gone;
  clearTimeout(timer);
}

/** A process that has ended but that nobody waits for (no init in a container) runs no more. */
function running(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';
  } catch {
    return false;
  }
}

/** Ends a process that is no child of ours and waits until it is gone. */
export async function stopPid(pid: number): Promise<void> {
  const alive = () => running(pid);
  if (!alive()) return;
  process.kill(pid, 'SIGTERM');
  const timer = setTimeout(() => alive() && process.kill(pid, 'SIGKILL'), stopTimeoutMs);
  await waitUntil(() => !alive(), 2 * stopTimeoutMs, `process ${pid} to end`);
  clearTimeout(timer);
}

function ip(...args: string[]): string {
  try {
    return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const said = String((error as { stderr?: Buffer }).stderr ?? error).trim();
    throw new SwitchError('ERR_UNSUPPORTED', `ip ${args.join(' ')}: ${said}`, { cause: error });
  }
}
