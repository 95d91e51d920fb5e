// support/process.ts — runs and watches child processes for the tests.
//
// Everything started here is ended by its own process id (or its own process group), never by name.
// Output is kept whole and split into lines, so that tests wait for what a program says and not for
// time.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createWriteStream, readdirSync, readFileSync, type WriteStream } from 'node:fs';
import { waitUntil } from './wait.ts';

/** What a finished command left behind. */
export interface CommandResult {
  stdout: string;
  stderr: string;
  /** Exit code; -1 when the command was ended by a signal. */
  code: number;
  signal: NodeJS.Signals | null;
}

export interface RunOptions {
  /**
   * Limit in milliseconds; the command is killed and the promise rejected after it. Default 20000.
   */
  timeout?: number;
  /** Text or bytes for standard input; nothing by default. */
  input?: string | Uint8Array;
  env?: Record<string, string>;
  cwd?: string;
}

/** Runs a command to its end. Rejects only when it cannot be started or passes its time limit. */
export function run(command: string, args: string[], options: RunOptions = {}) {
  const timeout = options.timeout ?? 20_000;
  return new Promise<CommandResult>((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      const said = Buffer.concat([...stdout, ...stderr])
        .toString()
        .slice(-2000);
      reject(new Error(`${commandLine(command, args)}: not done after ${timeout} ms\n${said}`));
    }, timeout);
    child.on('error', (cause) => {
      clearTimeout(timer);
      reject(new Error(`cannot start ${command}: ${cause.message}`, { cause }));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
        code: code ?? -1,
        signal,
      });
    });
  });
}

/** As `run`, but rejects with the command's own words when it does not exit with 0. */
export async function mustRun(command: string, args: string[], options: RunOptions = {}) {
  const result = await run(command, args, options);
  if (result.code !== 0) throw failed(command, args, result);
  return result;
}

/** The synchronous form, for probes and for the last cleaning before the process exits. */
export function runSync(command: string, args: string[], input = ''): CommandResult {
  const result = spawnSync(command, args, { encoding: 'utf8', input, timeout: 20_000 });
  return {
    stdout: result.stdout ?? '',
    stderr: result.stderr ?? result.error?.message ?? '',
    code: result.status ?? -1,
    signal: result.signal,
  };
}

function commandLine(command: string, args: string[]) {
  return [command, ...args].join(' ').slice(0, 300);
}

function failed(command: string, args: string[], result: CommandResult) {
  const end = result.signal ?? `exit code ${result.code}`;
  const said = `${result.stderr.trim()}\n${result.stdout.trim()}`.trim().slice(-2000);
  return new Error(`${commandLine(command, args)}: ${end}\n${said}`);
}

/**
 * True while a process with this id runs, ours or not. One that has ended but that nobody waits for
 * (a container without an init) runs no more.
 */
export function alive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';
  } catch {
    return false;
  }
}

/**
 * Milliseconds that threads of the daemons were ready and waited for a CPU so far, which on an idle
 * machine would not have passed. Counts those that work one after the other: the main threads, and
 * those of the data path.
 */
export function heldUpMs(...pids: number[]): number {
  const threads = pids.flatMap((pid) => {
    const tasks = readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}`);
    const ofDatapath = (task: string) => readFileSync(`${task}/comm`, 'utf8').startsWith('vtep-');
    return tasks.filter((task) => task.endsWith(`/${pid}`) || ofDatapath(task));
  });
  // On a CPU, waiting for one (ns), time slices.
  const waited = threads.map((task) => readFileSync(`${task}/schedstat`, 'utf8').split(' ')[1]);
  return waited.reduce((sum, ns) => sum + Number(ns) / 1e6, 0);
}

/** Milliseconds of CPU that some work takes, which other programs of the machine do not prolong. */
export function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

export interface StartOptions {
  /** File that gets standard output and error, as they come. */
  log?: string;
  env?: Record<string, string>;
  cwd?: string;
}

export interface WaitOptions {
  /** Default 10000. */
  timeoutMs?: number;
}

/**
 * A process that runs beside the test. It leads its own process group, so that its children end
 * with it.
 */
export class ManagedProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process has ended and its output was read. */
  readonly exited: Promise<{ code: number; signal: NodeJS.Signals | null }>;
  #child: ChildProcess;
  #stdout = '';
  #stderr = '';
  #end: { code: number; signal: NodeJS.Signals | null } | undefined;
  #log: WriteStream | undefined;

  constructor(command: string, args: string[], options: StartOptions = {}) {
    this.name = commandLine(command, args);
    if (options.log) this.#log = createWriteStream(options.log, { flags: 'a' });
    this.#child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
      detached: true,
    });
    this.pid = this.#child.pid ?? -1;
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stdout?.on('data', (bytes: Buffer) => {
      this.#stdout += bytes.toString();
      this.#log?.write(bytes);
    });
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      this.#stderr += bytes.toString();
      this.#log?.write(bytes);
    });
    this.exited = new Promise((resolve) => {
      const end = (code: number, signal: NodeJS.Signals | null) => {
        this.#end ??= { code, signal };
        this.#log?.end();
        resolve(this.#end);
      };
      this.#child.on('error', (error) => {
        this.#stderr += `${error.message}\n`;
        end(-1, null);
      });
      this.#child.on('close', (code, signal) => end(code ?? -1, signal));
    });
  }

  get stdout() {
    return this.#stdout;
  }

  get stderr() {
    return this.#stderr;
  }

  /** Both streams, for searching. */
  get output() {
    return this.#stdout + this.#stderr;
  }

  get running() {
    return this.#end === undefined;
  }

  /** Writes to the process's standard input. */
  write(text: string) {
    this.#child.stdin?.write(text);
  }

  /**
   * Waits for a line that matches, or for a condition. Rejects at once, with the process's last
   * words, when it ends first.
   */
  async waitFor(what: RegExp | (() => unknown), options: WaitOptions = {}): Promise<void> {
    const met = async () => (what instanceof RegExp ? what.test(this.output) : await what());
    await waitUntil(
      async () => {
        if (await met()) return true;
        if (this.running) return false;
        throw new Error(`${this.name} ended (${this.describeEnd()})\n${this.output.slice(-2000)}`);
      },
      {
        timeoutMs: options.timeoutMs ?? 10_000,
        what: () => `${this.name} to say ${what}; it said:\n${this.output.slice(-2000)}`,
      },
    );
  }

  describeEnd() {
    return this.#end ? (this.#end.signal ?? `exit code ${this.#end.code}`) : 'still running';
  }

  signal(signal: NodeJS.Signals) {
    if (this.running && this.pid > 0) this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL for the whole group when it does not end in time. Safe to call twice. */
  async stop(options: WaitOptions = {}) {
    if (!this.running) return this.exited;
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.killGroup(), options.timeoutMs ?? 5000);
    const end = await this.exited;
    clearTimeout(timer);
    return end;
  }

  /** SIGKILL, as a crash would look to the rest of the system. */
  async kill9() {
    this.killGroup();
    return this.exited;
  }

  /** SIGKILL to the process and to whatever it started in its group; does not wait. */
  killGroup() {
    if (!this.running || this.pid <= 0) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      this.#child.kill('SIGKILL');
    }
  }
}
