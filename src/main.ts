#!/usr/bin/env node
// main.ts — the daemon (`vtepd`): reads its configuration, starts the switch and its control API.
//
// It may be killed at any time: packets are moved by vtepd-datapath, which this process starts when
// nobody serves its socket, and to which it attaches again after a restart. SIGTERM and SIGINT end
// this process only. The control API is loaded while the datapath process starts: packets first.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { renderError, SwitchError } from './lib/errors.ts';
import { createLogger, type Logger } from './lib/logger.ts';
import { type Config, parseConfig } from './model/config.ts';
import { Switch } from './switch.ts';

const usage = `usage: vtepd --config FILE [--check]

The virtual switch of this host. The configuration names the host; what the network looks like comes
with "vtepctl apply -f net.yaml".

  vtepd --config /etc/vtepd/vtepd.yaml
  vtepd --config vtepd.yaml --check      checks the configuration and exits

Options:
  --config FILE   configuration (YAML or JSON)
  --check         check the configuration and exit
  --version       print the version and exit
  -h, --help      print this and exit`;

export function packageVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return String(JSON.parse(readFileSync(file, 'utf8')).version);
}

/** The configuration to run with; undefined when the arguments asked for something else. */
function configFrom(argv: readonly string[]): Config | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      config: { type: 'string' },
      check: { type: 'boolean', default: false },
      version: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help || values.version) {
    process.stdout.write(`${values.help ? usage : packageVersion()}\n`);
    return undefined;
  }
  if (values.config === undefined) {
    throw new SwitchError('ERR_ARGUMENT_INVALID', 'vtepd needs --config FILE', {
      remedy: 'examples/vtepd.yaml is one to start from.',
    });
  }
  const config = parseConfig(readConfig(values.config), values.config);
  if (!values.check) return config;
  process.stdout.write(`${values.config}: in order\n`);
  return undefined;
}

function readConfig(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SwitchError(
      'ERR_CONFIG_INVALID',
      `cannot read ${file}: ${(error as Error).message}`,
      {
        cause: error,
        remedy: 'Name an existing file with --config; examples/vtepd.yaml is one to start from.',
      },
    );
  }
}

/** Tells systemd (Type=notify) how we are; without NOTIFY_SOCKET nobody wants to know. */
function notify(...words: string[]): void {
  if (process.env.NOTIFY_SOCKET === undefined) return;
  execFile('systemd-notify', [`--pid=${process.pid}`, ...words], () => undefined);
}

async function run(config: Config, logger: Logger): Promise<void> {
  const [theSwitch, { startControlServer }] = await Promise.all([
    Switch.start({ config, logger, version: packageVersion() }),
    import('./control/server.ts'),
  ]);
  const server = await startControlServer({ config, logger, api: theSwitch });
  logger.info({ host: config.host, socket: config.control.socket }, 'ready');
  notify('--ready');
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    notify('--stopping');
    logger.info({ signal }, 'stopping; the datapath goes on');
    await server.close();
    theSwitch.close();
    process.exit(0);
  };
  process.on('SIGTERM', (signal) => void stop(signal));
  process.on('SIGINT', (signal) => void stop(signal));
  process.on('SIGHUP', () => undefined);
}

try {
  const config = configFrom(process.argv.slice(2));
  if (config !== undefined) {
    await run(config, createLogger({ name: 'vtepd', level: config.log.level }));
  }
} catch (error) {
  const { code } = error as { code?: unknown };
  const hint = String(code).startsWith('ERR_PARSE_ARGS') ? '\nvtepd --help shows the options.' : '';
  process.stderr.write(`vtepd: ${renderError(error)}${hint}\n`);
  process.exit(error instanceof SwitchError && error.code === 'ERR_BUSY' ? 3 : 1);
}
