// bench/rfc2544/trex/server.ts — a TRex server beside the devices: software mode on Linux devices.
//
// It listens on all addresses without asking who calls, so it lives in the namespace of the devices
// and the driver goes there. It needs no huge pages, no driver and no card, and on a small machine
// reaches some hundred thousand frames a second: enough for a smoke test, not for a claim.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { Lab } from '../../../test/support/netns.ts';
import { mustRun, runSync } from '../../../test/support/process.ts';
import { waitUntil } from '../../../test/support/wait.ts';
import { Lack } from '../../bench.ts';
import type { End, Path } from '../path.ts';
import { benchTrexFolder } from './conversation.ts';

const port = 4501;
const startMs = 60_000;
const program = '_t-rex-64';
/** The namespace for devices that are in different ones. */
const own = 'trex';

/** Where the server program is in an install; undefined: it has only the client. */
export function serverFolder(install: string): string | undefined {
  const folders = [install, join(install, 'scripts')];
  return folders.find((folder) => existsSync(join(folder, program)));
}

/** The configuration of bench/trex/cfg/afpacket.yaml for these devices. */
export function serverConfig(template: string, { ends }: Path): string {
  const [config] = parse(template) as [Record<string, unknown>];
  const devices = config.interfaces as readonly string[];
  return stringify([
    {
      ...config,
      interfaces: devices.map((text, at) =>
        text.replace(/iface=[^,]+/, `iface=${ends[at]!.device}`),
      ),
      port_info: ends.map(({ mac, nextHopMac }) => ({ src_mac: mac, dest_mac: nextHopMac })),
    },
  ]);
}

/** Starts a server on both devices of the path; it ends with the lab, which is the caller's. */
export async function startServer(install: string, path: Path): Promise<{ lab: Lab; path: Path }> {
  const folder = serverFolder(install);
  if (folder === undefined) {
    throw new Lack(`${install} has no ${program}: name a whole release by --trex-path, or a host`);
  }
  const lab = new Lab();
  try {
    const near = await gathered(lab, path);
    await listen(lab, folder, near);
    return { lab, path: near };
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/**
 * The path with both devices in one network namespace, since TRex has only one: the lab's own, if
 * they are not together. They lose their addresses there; nobody answers ARP for them.
 */
async function gathered(lab: Lab, path: Path): Promise<Path> {
  const [first, second] = path.ends;
  if (first.namespace === second.namespace) return path;
  await lab.namespace(own);
  const there = lab.realName(own);
  await lab.must(own, 'sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
  const moved = async (end: End, device: string): Promise<End> => {
    const from = end.namespace === undefined ? [] : ['-n', end.namespace];
    const link = ['link', 'set', end.device, 'netns', there, 'name', device];
    await mustRun('ip', [...from, ...link]);
    await lab.must(own, 'ip', ['link', 'set', device, 'up']);
    return { ...end, namespace: there, device };
  };
  return { ends: [await moved(first, 't0'), await moved(second, 't1')] };
}

/** Starts the server and waits until it does. */
async function listen(lab: Lab, folder: string, path: Path): Promise<void> {
  const config = lab.path('trex.yaml');
  const template = readFileSync(join(benchTrexFolder(), 'cfg', 'afpacket.yaml'), 'utf8');
  writeFileSync(config, serverConfig(template, path));
  const inside = insideOf(path.ends[0].namespace);
  const options = ['-i', '--software', '--no-scapy-server', '--cfg', config];
  const [command, ...args] = [...inside, `./${program}`, ...options, '--iom', '0', '--no-termio'];
  const server = lab.spawnHere(command!, args, { cwd: folder });
  const isListening = () => {
    const [ss, ...words] = [...inside, 'ss', '-Hltn', `sport = :${port}`];
    return runSync(ss!, words).stdout.trim() !== '';
  };
  try {
    const what = `TRex to listen on port ${port}`;
    await waitUntil(() => isListening() || !server.running, { timeoutMs: startMs, what });
    if (!server.running) throw new Error('it has ended');
  } catch (error) {
    const said = server.output.trim().split('\n').slice(-3).join(' ');
    throw new Error(`TRex in ${folder} does not start: ${said}`, { cause: error });
  }
}

function insideOf(namespace: string | undefined): string[] {
  return namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace];
}
