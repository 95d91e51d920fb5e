// bench/rfc2544/trex.ts — TRex as a generator: a server somewhere, its official Python API, and our
// driver between them and us.
//
// Port 0 of the server is the first end of a path, port 1 the second. Streams count exactly, by
// marks that TRex puts into the IPv4 header; some frames a second carry a time. Names of a host are
// the user's; without one a server is started beside the devices.

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../../test/support/netns.ts';
import { Lack } from '../bench.ts';
import type { GeneratorOptions } from './parts.ts';
import type { End, Path } from './path.ts';
import { type Conversation, startDriver } from './trex/conversation.ts';
import { startServer } from './trex/server.ts';
import { type TrexTrial, trialResult } from './trex/validity.ts';
import type { Generator, Load, TrialResult } from './trial.ts';

const ports = { sync_port: 4501, async_port: 4500 };
const connectMs = 30_000;
/** A trial that takes longer than this, beside many times what it should, is none. */
const trialSpareMs = 120_000;
const patience = 20;
/** Frames a second that carry a time, and their share of all at most. */
const timedRate = 1000;
const timedShare = 0.01;
/** When sending has ended is seen some tens of ms late (validity.ts). */
const leastSeconds = 2;
/** Frames that are still under way get so long, in ms (RFC 2544, 23: two seconds). */
const settle = { most: 2000, least: 300, perSecond: 200 };

interface Port {
  readonly link: string;
  readonly mac: string;
  readonly driver: string;
}

interface Connected {
  readonly version: string;
  readonly ports: readonly Port[];
}

/** Where a release is: as said, else TREX_DIR, else the newest of /opt/trex*. */
export function trexInstall(said: string | undefined, root = '/opt'): string {
  const newest = existsSync(root)
    ? readdirSync(root)
        .filter((name) => name.startsWith('trex'))
        .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
        .at(-1)
    : undefined;
  const folder = said ?? process.env.TREX_DIR ?? (newest && join(root, newest));
  if (folder === undefined) {
    throw new Lack('TRex is not here: name the folder of a release by --trex-path or TREX_DIR');
  }
  if (!existsSync(folder)) throw new Lack(`TRex: there is no folder ${folder}`);
  return folder;
}

/** Joins the ends of a path to a server, which is started unless a host is named. */
export async function trexGenerator(path: Path, options: GeneratorOptions): Promise<Generator> {
  const install = trexInstall(options.trexPath);
  const isOwn = options.trexHost === undefined;
  const server = isOwn ? await startServer(install, path) : undefined;
  const near = server?.path ?? path;
  try {
    const namespace = isOwn ? near.ends[0].namespace : undefined;
    const driver = await startDriver(install, namespace);
    const host = options.trexHost ?? '127.0.0.1';
    return await TrexGenerator.connect(driver, host, near, server?.lab);
  } catch (error) {
    await server?.lab.close();
    throw error;
  }
}

export class TrexGenerator implements Generator {
  readonly name = 'trex';
  readonly leastSeconds = leastSeconds;
  readonly version: string;
  readonly #driver: Conversation;
  readonly #path: Path;
  readonly #server: Lab | undefined;

  private constructor(driver: Conversation, version: string, path: Path, server: Lab | undefined) {
    this.#driver = driver;
    this.version = version;
    this.#path = path;
    this.#server = server;
  }

  /** Rejects with a sentence when there is no server, or one that cannot be used. */
  static async connect(
    driver: Conversation,
    host: string,
    path: Path,
    server?: Lab,
  ): Promise<TrexGenerator> {
    try {
      if (path.ends.some(({ ip }) => ip.includes(':'))) {
        throw new Error('TRex sends IPv4 here: use a topology with IPv4 ends.');
      }
      const answer = await driver.ask('connect', { server: host, ...ports }, connectMs);
      const { version, ports: found } = answer as Connected;
      const down = found.findIndex(({ link }) => link !== 'UP');
      if (down !== -1) {
        throw new Error(`Port ${down} of TRex is down: its link is ${found[down]!.link}.`);
      }
      const drivers = [...new Set(found.map((port) => port.driver))].join(', ');
      return new TrexGenerator(driver, `${version} (${drivers})`, path, server);
    } catch (error) {
      await driver.close();
      throw error;
    }
  }

  async trial(load: Load, signal?: AbortSignal): Promise<TrialResult> {
    signal?.throwIfAborted();
    const { frames, rate, count, flows } = load;
    const seconds = count / rate;
    const timed = Math.floor(Math.min(timedRate, rate * timedShare) * seconds);
    const [first, second] = this.#path.ends;
    const there = [addresses(first, second)];
    const details = {
      ...{ rate, count, flows, timed },
      shares: frames.shares,
      directions: load.direction === 'both' ? [...there, addresses(second, first)] : there,
      settleMs: Math.min(settle.most, Math.max(settle.least, seconds * settle.perSecond)),
    };
    const timeoutMs = seconds * 1000 * patience + trialSpareMs;
    const answer = await this.#driver.ask('trial', details, timeoutMs, signal);
    return trialResult(load, answer as TrexTrial);
  }

  async close(): Promise<void> {
    try {
      await this.#driver.close();
    } finally {
      await this.#server?.close();
    }
  }
}

/** What frames from one end to the other carry. */
function addresses(from: End, to: End) {
  return { srcMac: from.mac, dstMac: from.nextHopMac, srcIp: from.ip, dstIp: to.ip };
}
