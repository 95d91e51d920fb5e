// datapath/launch.ts — finds the datapath process, or starts it, and attaches.
//
// A started datapath is detached: it has a session of its own and outlives us, whatever kills us.
// What it says goes to `<socket>.log`, which is where a failed start is explained from. The log is
// continued, since the last words of a datapath that crashed are in it when we start the next one.

import { spawn } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SwitchError } from '../lib/errors.ts';
import { loadAddon } from './addon.ts';
import { compareLayout } from './layout.ts';
import type { NativeDatapath } from './native.ts';

/** How long a started datapath may take until its socket answers. */
export const startTimeoutMs = 5000;
const startPollMs = 5;
/** A log that is longer begins anew. */
const logBytesMax = 1024 * 1024;
const lastLinesMax = 5;

export interface LaunchOptions {
  readonly socket: string;
  /** auto: start the process when nobody serves the socket. external: wait for somebody else's. */
  readonly start: 'auto' | 'external';
  /** Arguments of vtepd-datapath beside --socket, such as `--workers=2`. */
  readonly args: readonly string[];
}

export interface Launched {
  readonly datapath: NativeDatapath;
  /** Whether we started the process; false: it was there, with whatever it has installed. */
  readonly started: boolean;
  /**
   * The last lines that the process has written to its log since we started it or attached; '' when
   * there are none, or its log is elsewhere (systemd's journal).
   */
  readonly lastWords: () => string;
}

/**
 * Attaches to the datapath.
 * @throws SwitchError ERR_BUSY (another vtepd is attached), ERR_PROTOCOL (another version),
 *   ERR_PERMISSION, ERR_DATAPATH_CLOSED (external and not there, or it ended at its start: the
 *   message says why)
 */
export async function launchDatapath(options: LaunchOptions): Promise<Launched> {
  const running = tryAttach(options.socket);
  if (running !== undefined) {
    const log = logOf(options.socket);
    const start = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
    return { datapath: running, started: false, lastWords: () => lastLines(log, start) };
  }
  if (options.start === 'external') {
    throw new SwitchError(
      'ERR_DATAPATH_CLOSED',
      `no datapath serves ${options.socket}, and datapath.start is external`,
    );
  }
  return startProcess(options);
}

function logOf(socket: string): string {
  return `${socket}.log`;
}

/** What stands in a log behind `start` (bytes), its last lines only. */
function lastLines(log: string, start: number): string {
  try {
    const said = readFileSync(log).subarray(start).toString('utf8').trim();
    return said.split('\n').slice(-lastLinesMax).join('\n');
  } catch {
    return '';
  }
}

function tryAttach(socket: string): NativeDatapath | undefined {
  const addon = loadAddon();
  compareLayout(addon.layout());
  try {
    return addon.attachDatapath(socket);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === 'ERR_DATAPATH_CLOSED') return undefined;
    if (code === 'ERR_BUSY' || code === 'ERR_PROTOCOL' || code === 'ERR_PERMISSION') {
      throw new SwitchError(code, message, { cause: error });
    }
    throw error;
  }
}

/** Opens the log at its end, behind a line with the time; the new process writes from `start`. */
function openLog(file: string): { log: number; start: number } {
  let log = openSync(file, 'a', 0o640);
  if (fstatSync(log).size > logBytesMax) {
    closeSync(log);
    closeSync(openSync(file, 'w', 0o640));
    log = openSync(file, 'a', 0o640);
  }
  writeSync(log, `${new Date().toISOString()} vtepd (pid ${process.pid}) starts the datapath\n`);
  return { log, start: fstatSync(log).size };
}

async function startProcess({ socket, args }: LaunchOptions): Promise<Launched> {
  mkdirSync(dirname(socket), { recursive: true, mode: 0o755 });
  const logFile = logOf(socket);
  const { log, start } = openLog(logFile);
  const script = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(process.execPath, [script, '--socket', socket, ...args], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  let ended: string | undefined;
  child.on('error', (error) => {
    ended = error.message;
  });
  child.on('exit', (code, signal) => {
    ended = `ended with ${signal ?? `code ${code}`}`;
  });
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline) {
    const datapath = tryAttach(socket);
    if (datapath !== undefined) {
      child.removeAllListeners();
      return { datapath, started: true, lastWords: () => lastLines(logFile, start) };
    }
    if (ended !== undefined) {
      const said = lastLines(logFile, start);
      throw new SwitchError('ERR_DATAPATH_CLOSED', `vtepd-datapath ${ended}. ${said}`);
    }
    await sleep(startPollMs);
  }
  child.kill('SIGKILL');
  throw new SwitchError(
    'ERR_TIMEOUT',
    `vtepd-datapath did not serve ${socket} within ${startTimeoutMs} ms; see ${logFile}`,
  );
}
