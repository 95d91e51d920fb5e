#!/usr/bin/env node
// datapath/main.ts — the datapath process (`vtepd-datapath`): starts the native threads and waits.
//
// JavaScript only starts it: control socket, netlink and workers are native threads, so nothing
// here runs per packet or per call, and the process forwards whether or not a vtepd is attached.
// SIGTERM and SIGINT stop it in order: no port, XDP program or socket file stays behind.

import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { renderError, SwitchError } from '../lib/errors.ts';
import { loadAddon } from './addon.ts';
import type { NativeDatapathOptions } from './native.ts';

const usage = `usage: vtepd-datapath [--socket PATH] [--workers N] [--flows N] [--exact-flows N]
                      [--connections N] [--tcp-pick-up always|after_start|never]
                      [--small-frames N] [--large-frames N] [--spin-us N]

Moves packets for vtepd, and goes on while vtepd is away. vtepd starts it by itself unless its
configuration says datapath.start: external.

  vtepd-datapath --socket /run/vtepd/datapath.sock --workers 2`;

const numbers = {
  workers: 'workers',
  flows: 'flowMax',
  'exact-flows': 'exactMax',
  connections: 'connectionMax',
  'small-frames': 'smallFrames',
  'large-frames': 'largeFrames',
  'spin-us': 'spinUs',
} as const;

function parse(argv: readonly string[]): { socket: string; options: NativeDatapathOptions } {
  const flags = Object.keys(numbers).map((name) => [name, { type: 'string' }] as const);
  const { values } = parseArgs({
    args: [...argv],
    options: {
      ...Object.fromEntries(flags),
      'tcp-pick-up': { type: 'string' },
      socket: { type: 'string', default: '/run/vtepd/datapath.sock' },
      version: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help === true || values.version === true) {
    process.stdout.write(`${values.help === true ? usage : packageVersion()}\n`);
    process.exit(0);
  }
  const options: Record<string, number | string> = {};
  // The addon knows the values, and names them when it refuses another.
  const pickUp = (values as Record<string, unknown>)['tcp-pick-up'];
  if (pickUp !== undefined) options.tcpPickUp = String(pickUp);
  for (const [flag, option] of Object.entries(numbers)) {
    const text = (values as Record<string, unknown>)[flag];
    if (text === undefined) continue;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0) {
      throw new SwitchError('ERR_ARGUMENT_INVALID', `--${flag} takes a whole number, not ${text}`);
    }
    options[option] = value;
  }
  return { socket: String(values.socket), options };
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return String(JSON.parse(readFileSync(file, 'utf8')).version);
}

/** Tells systemd (Type=notify) that we serve; without NOTIFY_SOCKET nobody wants to know. */
function notifyReady(): void {
  if (process.env.NOTIFY_SOCKET === undefined) return;
  execFile('systemd-notify', ['--ready', `--pid=${process.pid}`], () => undefined);
}

function serve(argv: readonly string[]): void {
  const { socket, options } = parse(argv);
  mkdirSync(dirname(socket), { recursive: true, mode: 0o755 });
  const keepAlive = setInterval(() => undefined, 0x7fffffff);
  const server = loadAddon().serveDatapath(socket, options, () => {
    clearInterval(keepAlive);
    process.exit(0);
  });
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    server.stop();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => undefined);
  notifyReady();
}

try {
  serve(process.argv.slice(2));
} catch (error) {
  const { code } = error as { code?: unknown };
  const hint = String(code).startsWith('ERR_PARSE_ARGS')
    ? '\nvtepd-datapath --help shows the options.'
    : '';
  process.stderr.write(`vtepd-datapath: ${renderError(error)}${hint}\n`);
  process.exit(1);
}
